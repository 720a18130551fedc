"""A real file manager (Thunar) on a screen that nobody sees: what somebody does in it is a decision."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browsers import lacks, wait_until
from drawn import Library
from interop_digikam import screen

NEEDS = {"thunar": "thunar", "Xvfb": "xvfb", "xdotool": "xdotool", "dbus-run-session": "dbus"}
"""Programs, and Debian's packages of them."""
FIRST = (230, 130)
"""Where the first icon of a window stands, whether its names are long and whether root is warned above it; and"""
EMPTY = (500, 300)
"""where there is none."""


class Thunar:
    def __init__(self, home: Path, display: str) -> None:
        self._home, runtime = home, home / "runtime"
        runtime.mkdir(mode=0o700)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        places = {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "DISPLAY": display, "NO_AT_BRIDGE": "1"}
        self._environment = kept | places | {"LANG": "C.UTF-8"}

    @contextmanager
    def windows(self, *folders: Path) -> Iterator[list[str]]:
        """Open folders; yields the windows, which stand side by side."""
        # The second only asks the first to open another window, which can be asked once it shows its own; where the
        # machine is busy that may go unheard, so it is asked again after 20 seconds.
        opened = "".join(
            f'i=0; until xdotool search --onlyvisible --name "^{folder.name} -"; '
            f'do [ $((i % 100)) = 0 ] && thunar "{folder}" & i=$((i + 1)); sleep 0.2; done; '
            for folder in folders
        )
        command = ["dbus-run-session", "--", "sh", "-c", f"{opened}wait"]
        with (self._home / "log").open("ab") as log:
            process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, start_new_session=True)
        try:
            windows = [self.window(f"^{folder.name} - Thunar") for folder in folders]
            for number, window in enumerate(windows):
                self.do("windowmove", "--sync", window, str(700 * number), "0") if number else None
            yield windows
        finally:
            os.killpg(process.pid, 15)
            process.wait()

    def window(self, name: str) -> str:
        """Return the window of this name, as soon as it is there."""
        found: list[str] = []

        def is_there() -> bool:
            # It fails, too, where a window goes while it looks.
            found.extend(self._xdotool("search", "--onlyvisible", "--name", name).stdout.decode().split())
            return bool(found)

        wait_until(is_there)
        return found[0]

    def do(self, *what: str) -> None:
        """Do something with mouse, keyboard and windows."""
        self._xdotool(*what).check_returncode()

    def _xdotool(self, *what: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["xdotool", *what], env=self._environment, capture_output=True, timeout=30)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        x, y = end
        steps = ((start[0] + 40, start[1] + 10), (x - 40, y), (x - 10, y), (x, y))
        self.do("mousemove", *map(str, start), "sleep", "0.3", "mousedown", "1")
        for step in steps:
            self.do("sleep", "0.2", "mousemove", *map(str, step))
        self.do("sleep", "0.3", "mouseup", "1")

    def press(self, window: str, *keys: str) -> None:
        self.do("windowfocus", "--sync", window, "sleep", "0.3", "key", *keys)


@pytest.fixture
def display() -> Iterator[str]:
    """A screen."""
    if absent := [package for program, package in NEEDS.items() if shutil.which(program) is None]:
        lacks(f"needs a file manager and a screen (Debian: apt install {' '.join(absent)})")
    with screen() as display:
        yield display


@pytest.fixture
def thunar(display: str, tmp_path: Path) -> Thunar:
    (tmp_path / "desk").mkdir()
    return Thunar(tmp_path / "desk", display)


def name_people(library: Library, *names: str) -> None:
    with library.app() as app:
        for number, name in enumerate(names, 1):
            app.corrections.rename(f"p{number}", name)


def test_what_is_dragged_deleted_and_renamed_in_a_file_manager_is_decided(library: Library, thunar: Thunar) -> None:
    library.draw_looks(1, 4, "a")
    library.draw_looks(2, 3, "b")
    library.scan()
    name_people(library, "Anna", "Ben")
    anna, ben = library.people / "Anna", library.people / "Ben"
    with thunar.windows(anna, ben) as (window, _):
        thunar.drag(FIRST, (700 + EMPTY[0], EMPTY[1]))
        wait_until(lambda: (ben / "a0.png").is_symlink() and not os.path.lexists(anna / "a0.png"))
        thunar.do("mousemove", *map(str, FIRST), "sleep", "0.3", "click", "1")
        thunar.press(window, "shift+Delete")
        thunar.press(thunar.window("Attention"), "alt+d")
        wait_until(lambda: not os.path.lexists(anna / "a1.png"))
    with thunar.windows(library.people) as (window,):
        thunar.do("mousemove", *map(str, FIRST), "sleep", "0.3", "click", "1")
        thunar.press(window, "F2")
        dialog = thunar.window("^Rename")
        thunar.press(dialog, "ctrl+a")
        thunar.do("type", "Annika")
        thunar.press(dialog, "Return")
        wait_until((library.people / "Annika").is_dir)
    with library.app() as app:
        app.folder.sync()
        seen = [entry.action for entry in app.corrections.history() if entry.details.get("source") == "folder"]
    assert sorted(seen) == ["assign", "reject", "rename"]
    folders = {folder: {one for one in library.tree() if one.startswith(f"{folder}/")} for folder in ("Annika", "Ben")}
    assert folders == {
        "Annika": {"Annika/a2.png", "Annika/a3.png"},
        "Ben": {"Ben/a0.png", "Ben/b0.png", "Ben/b1.png", "Ben/b2.png"},
    }
    assert len([*library.photos.iterdir()]) == 7
