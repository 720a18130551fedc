"""What a user who may not read everything meets. Where the tests run as root, who may, the child does without that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from drawn import Library
from users import as_a_user

from facewatch.watcher.loop import WatchLoop


def turn_around(loop: WatchLoop, now: list[float], n_turns: int) -> None:
    for _ in range(n_turns):
        loop.turn(loop._take())
        now[0] += 2.0


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o311])
def test_a_folder_that_may_not_be_read_costs_nothing_but_itself(library: Library, mode: int) -> None:
    for path in ("a.png", "mine/b.png", "other/c.png"):
        library.draw(path, (1, len(path)))
    library.scan()
    (library.photos / "mine").chmod(mode)
    library.draw("d.png", (1, 99))

    def live() -> None:
        result = library.scan()
        assert (result.files.n_new, result.files.n_missing) == (1, 0)
        now = [0.0]
        with library.app() as app:
            loop = WatchLoop(app, should_stop=lambda: False, clock=lambda: now[0])
            loop.watched[0].listen()
            assert not loop.watched[0].why_polled
            library.draw("other/e.png", (1, 100))
            turn_around(loop, now, 12)
            assert not loop._failures.n
            assert app.catalog.files.counts()["files"] == 5
            loop.watched[0].close()

    try:
        as_a_user(live)
    finally:
        (library.photos / "mine").chmod(0o700)


def test_a_root_that_cannot_be_reached_does_not_keep_the_other_waiting(library: Library, tmp_path: Path) -> None:
    """As the mount of a drive in the network that is not connected any more, it answers everything with an error."""
    library.draw_looks(1, 2)
    other = tmp_path / "away" / "Other"
    other.mkdir(parents=True)
    shutil.copy(library.photos / "0.png", other / "x.png")
    both = {"library.photos": [str(library.photos), str(other)]}
    library.scan(**both)
    other.parent.chmod(0o000)
    library.draw("new.png", (1, 9))

    def live() -> None:
        now = [0.0]
        with library.app(both) as app:
            loop = WatchLoop(app, should_stop=lambda: False, clock=lambda: now[0])
            turn_around(loop, now, 8)
            assert "cannot be read" in loop.watched[1].offline
            assert app.catalog.files.counts()["files"] == 4
            assert list(app.status().health.offline) == [str(other)]

    try:
        as_a_user(live)
    finally:
        other.parent.chmod(0o700)
