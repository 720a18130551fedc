"""Hearing: everything that happens below a root is told, or it is told that something was lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facewatch.watcher.events import EventBuffer, Events, EventSource, Skips, folders_above
from facewatch.watcher.observer import ObserverSource

if sys.platform != "linux":
    pytest.skip("needs inotify", allow_module_level=True)

from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchCallback, WatchDescriptor
from watchdog.observers.polling import PollingObserver

from facewatch.watcher.inotify import InotifySource, Paths, names_in

Listen = Callable[..., EventSource]

PATIENCE = 20.0
"""Seconds until the kernel has told what happened, at the very longest."""


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    """Listening leaves no thread and no descriptor behind, daemon or not."""
    threads, n_open = set(threading.enumerate()), len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert set(threading.enumerate()) <= threads
    assert len(list(Path("/proc/self/fd").iterdir())) <= n_open


def is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith((".", "@"))


def hear(source: EventSource, is_enough: Callable[[Events], bool]) -> Events:
    """Take until that was heard; the kernel needs a moment."""
    heard = Events()
    deadline = time.monotonic() + PATIENCE
    while not is_enough(heard) and time.monotonic() < deadline:
        more = source.take(0.1)
        heard = Events(heard.files | more.files, heard.folders | more.folders, heard.is_overflown or more.is_overflown)
    return heard


def hear_out(source: EventSource, root: Path) -> Events:
    """Take everything that happened until now: what happens last is told last."""
    name = f"last {time.monotonic_ns()}"
    (root / name).touch()
    heard = hear(source, lambda heard: name in heard.files or "" in heard.folders)
    assert name in heard.files or "" in heard.folders
    more = source.take(0.0)
    (root / name).unlink()
    removed = hear(source, lambda heard: name in heard.files or "" in heard.folders)
    files = frozenset(file for file in heard.files | more.files | removed.files if not file.startswith("last "))
    return Events(files, heard.folders | more.folders, heard.is_overflown or more.is_overflown)


def is_told(path: str, heard: Events) -> bool:
    """Whether that file was heard of, or has to be seen by a look that was asked for."""
    return path in heard.files or any(folder == "" or path.startswith(folder + "/") for folder in heard.folders)


def observe(root: Path, *, skips: Skips) -> ObserverSource:
    """What other platforms do, with the one observer that is the same everywhere."""
    return ObserverSource(root, skips=skips, open_observer=lambda: PollingObserver(timeout=0.05))


@pytest.fixture(params=[InotifySource, observe], ids=["inotify", "observer"])
def listen(request: pytest.FixtureRequest) -> Listen:
    """Both ways of listening must tell the same."""
    chosen: Listen = request.param
    return chosen


def test_new_moved_and_removed_files_are_heard(tmp_path: Path, listen: Listen) -> None:
    with listen(tmp_path, skips=is_hidden) as source:
        (tmp_path / "a.jpg").write_text("x")
        assert "a.jpg" in hear(source, lambda heard: "a.jpg" in heard.files).files
        (tmp_path / "a.jpg").rename(tmp_path / "b.jpg")
        assert {"a.jpg", "b.jpg"} <= hear(source, lambda heard: {"a.jpg", "b.jpg"} <= heard.files).files
        (tmp_path / "b.jpg").unlink()
        assert "b.jpg" in hear(source, lambda heard: "b.jpg" in heard.files).files


def test_a_new_folder_asks_for_a_look_at_it(tmp_path: Path, listen: Listen) -> None:
    with listen(tmp_path, skips=is_hidden) as source:
        (tmp_path / "sub").mkdir()
        assert "sub" in hear(source, lambda heard: "sub" in heard.folders).folders


def test_reading_a_file_is_not_heard(tmp_path: Path, listen: Listen) -> None:
    (tmp_path / "a.jpg").write_text("x")
    with listen(tmp_path, skips=is_hidden) as source:
        (tmp_path / "a.jpg").read_text()
        (tmp_path / "marker.jpg").write_text("x")
        assert "a.jpg" not in hear(source, lambda heard: "marker.jpg" in heard.files).files


def test_what_is_skipped_is_not_heard(tmp_path: Path, listen: Listen) -> None:
    (tmp_path / ".hidden/deep").mkdir(parents=True)
    with listen(tmp_path, skips=is_hidden) as source:
        (tmp_path / ".hidden/a.jpg").write_text("x")
        (tmp_path / ".hidden/deep/a.jpg").write_text("x")
        (tmp_path / "@eaDir").mkdir()
        (tmp_path / "@eaDir/b.jpg").write_text("x")
        (tmp_path / "marker.jpg").write_text("x")
        heard = hear(source, lambda heard: "marker.jpg" in heard.files)
    assert heard.files == {"marker.jpg"}
    assert not {folder for folder in heard.folders if folder}


def test_a_tree_that_is_made_at_once_is_told_completely(tmp_path: Path, listen: Listen) -> None:
    made = [f"{a}/{b}/deep/deeper/{i}.jpg" for a in "abc" for b in "xyz" for i in range(20)]
    with listen(tmp_path, skips=is_hidden) as source:
        for path in made:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text("x")
        heard = hear(source, lambda heard: all(is_told(path, heard) for path in made))
        assert all(is_told(path, heard) for path in made)


def test_a_root_that_is_not_there_cannot_be_listened_to(tmp_path: Path, listen: Listen) -> None:
    with pytest.raises(OSError, match="nowhere"), listen(tmp_path / "nowhere", skips=is_hidden):
        raise AssertionError


def test_nobody_listens_any_more_who_asks_too_late_or_too_early(tmp_path: Path, listen: Listen) -> None:
    source = listen(tmp_path, skips=is_hidden)
    assert source.is_closed
    source.complete()
    assert not source.take(0.0)
    with source:
        assert not source.is_closed
    assert source.is_closed
    source.complete()
    (tmp_path / "a.jpg").touch()
    assert not source.take(0.0)
    assert (source.unwatched, source.fault) == (frozenset(), None)


def test_a_listener_that_ended_by_itself_says_so(tmp_path: Path) -> None:
    fd = FD()
    with listening(tmp_path, lambda: fd) as source:
        assert (source.fault, source.is_closed) == (None, False)
        fd.stop()
        fd.join()
        assert source.unwatched == {""}
        assert "unexpectedly" in str(source.fault)
        assert source.is_closed


def test_an_observer_that_ended_by_itself_says_so(tmp_path: Path) -> None:
    observer = PollingObserver(timeout=0.05)
    with ObserverSource(tmp_path, skips=is_hidden, open_observer=lambda: observer) as source:
        assert not source.is_closed
        observer.stop()
        observer.join()
        assert source.unwatched == {""}
        assert source.is_closed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_a_listener_ended_by_itself_a_new_source_hears_and_nothing_of_the_old_stays_open(tmp_path: Path) -> None:
    class Dying(FD):
        def read_events(self, *, event_buffer_size: int = 65_536) -> list[InotifyEvent]:
            raise OSError(errno.EIO, "cannot read what happened")

    fd = Dying()
    with listening(tmp_path, lambda: fd) as source:
        fd.join()
        source.complete()
        assert source.is_closed
    with InotifySource(tmp_path, skips=is_hidden) as source:
        assert not source.is_closed
        (tmp_path / "a.jpg").touch()
        assert hear_out(source, tmp_path).files == {"a.jpg"}


def test_a_folder_that_moves_is_heard_under_its_new_name_only(tmp_path: Path) -> None:
    (tmp_path / "old/deep").mkdir(parents=True)
    with InotifySource(tmp_path, skips=is_hidden) as source:
        (tmp_path / "old").rename(tmp_path / "new")
        (tmp_path / "new/deep/at once.jpg").touch()
        heard = hear_out(source, tmp_path)
        assert heard.folders == {"old", "new"}
        (tmp_path / "new/deep/a.jpg").touch()
        (tmp_path / "new/b.jpg").touch()
        assert hear_out(source, tmp_path).files == {"new/deep/a.jpg", "new/b.jpg"}


def test_a_folder_that_moves_out_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    (root / "sub/deep").mkdir(parents=True)
    with InotifySource(root, skips=is_hidden) as source:
        (root / "sub").rename(tmp_path / "elsewhere")
        assert hear_out(source, root).folders == {"sub"}
        (tmp_path / "elsewhere/deep/a.jpg").touch()
        assert not hear_out(source, root)
        (tmp_path / "elsewhere").rename(root / "back")
        assert hear_out(source, root).folders == {"back"}
        (root / "back/deep/a.jpg").touch()
        assert hear_out(source, root).files == {"back/deep/a.jpg"}


def test_a_folder_that_becomes_hidden_is_gone_and_one_that_is_shown_is_new(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with InotifySource(tmp_path, skips=is_hidden) as source:
        (tmp_path / "sub").rename(tmp_path / ".sub")
        assert hear_out(source, tmp_path).folders == {"sub"}
        (tmp_path / ".sub/a.jpg").touch()
        assert not hear_out(source, tmp_path)
        (tmp_path / ".sub").rename(tmp_path / "sub")
        assert hear_out(source, tmp_path).folders == {"sub"}
        (tmp_path / "sub/a.jpg").touch()
        assert hear_out(source, tmp_path).files == {"sub/a.jpg"}


def test_a_folder_that_is_removed_and_made_again_is_heard(tmp_path: Path) -> None:
    with InotifySource(tmp_path, skips=is_hidden) as source:
        for _ in range(100):
            (tmp_path / "sub/deep").mkdir(parents=True)
            (tmp_path / "sub/deep/a.jpg").touch()
            shutil.rmtree(tmp_path / "sub")
        (tmp_path / "sub/deep").mkdir(parents=True)
        # The folder below is told besides when it is heard of in between.
        assert {"sub"} <= hear_out(source, tmp_path).folders <= {"sub", "sub/deep"}
        (tmp_path / "sub/deep/b.jpg").touch()
        assert hear_out(source, tmp_path).files == {"sub/deep/b.jpg"}


def test_names_that_are_not_text_are_heard(tmp_path: Path) -> None:
    name = os.fsdecode(b"line\nbreak \xff\xfe")
    with InotifySource(tmp_path, skips=is_hidden) as source:
        (tmp_path / name).mkdir()
        assert hear_out(source, tmp_path).folders == {name}
        (tmp_path / name / name).touch()
        assert hear_out(source, tmp_path).files == {f"{name}/{name}"}


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / "before").symlink_to(tmp_path / "outside")
    with InotifySource(root, skips=is_hidden) as source:
        (root / "after").symlink_to(tmp_path / "outside")
        hear_out(source, root)
        (tmp_path / "outside/a.jpg").touch()
        assert not hear_out(source, root)


def test_a_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk/sub").mkdir(parents=True)
    (tmp_path / "photos").symlink_to("disk")
    with InotifySource(tmp_path / "photos", skips=is_hidden) as source:
        (tmp_path / "disk/sub/a.jpg").touch()
        assert "sub/a.jpg" in hear_out(source, tmp_path / "photos").files


def test_a_file_that_becomes_readable_is_heard(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch(mode=0o000)
    with InotifySource(tmp_path, skips=is_hidden) as source:
        (tmp_path / "a.jpg").chmod(0o644)
        assert hear_out(source, tmp_path).files == {"a.jpg"}


def test_a_file_that_is_written_for_long_is_heard_at_its_beginning_and_at_its_end(tmp_path: Path) -> None:
    with InotifySource(tmp_path, skips=is_hidden) as source:
        with (tmp_path / "a.jpg").open("wb", buffering=0) as file:
            assert hear_out(source, tmp_path).files == {"a.jpg"}
            for _ in range(100):
                file.write(b"x")
            assert not hear_out(source, tmp_path)
        assert hear_out(source, tmp_path).files == {"a.jpg"}


class FD(InotifyFD):
    """The kernel's own, as far as the test lets it; counts what is watched."""

    def __init__(self, *, most: int = 1_000_000, unreadable: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.most = most
        self.unreadable = set(unreadable)
        self.asked: list[str] = []
        self.may_read = threading.Event()
        self.may_read.set()

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        self.asked.append(os.fsdecode(path))
        if os.fsdecode(path) in self.unreadable:
            return WatchDescriptor(-1)  # as it really does
        watched = set(self._watch_for_wd)
        wd = super().add_callback(path, mask, callback, id_)
        if wd not in watched and len(watched) >= self.most:
            self.remove_callbacks([(wd, id_)])
            raise OSError(errno.ENOSPC, "inotify watch limit reached")
        return wd

    def read_events(self, *, event_buffer_size: int = 65_536) -> list[InotifyEvent]:
        self.may_read.wait()
        return super().read_events(event_buffer_size=event_buffer_size)

    @property
    def n_watches(self) -> int:
        return len(self._watch_for_wd)


def listening(root: Path, open_fd: Callable[[], InotifyFD], skips: Skips = is_hidden) -> EventSource:
    return InotifySource(root, skips=skips, open_fd=open_fd)


def test_a_skipped_folder_is_never_watched(tmp_path: Path) -> None:
    for name in (".hidden/deep", "@eaDir", "sub/.cache/deep"):
        (tmp_path / name).mkdir(parents=True)
    fd = FD()
    with listening(tmp_path, lambda: fd) as source:
        (tmp_path / "sub/new/@eaDir/deep").mkdir(parents=True)
        (tmp_path / "sub/.new/deep").mkdir(parents=True)
        hear_out(source, tmp_path)
    assert {Path(path).relative_to(tmp_path).as_posix() for path in fd.asked} == {".", "sub", "sub/new"}


def test_a_folder_is_not_watched_from_when_it_is_marked(tmp_path: Path) -> None:
    (tmp_path / "sub/deep").mkdir(parents=True)
    fd = FD()

    def is_marked(path: str) -> bool:
        return (tmp_path / path / ".nomedia").exists()

    with listening(tmp_path, lambda: fd, is_marked) as source:
        (tmp_path / "sub/.nomedia").touch()
        assert "sub" in hear_out(source, tmp_path).folders
        assert fd.n_watches == 1
        (tmp_path / "sub/deep/a.jpg").touch()
        assert not hear_out(source, tmp_path)
        (tmp_path / "sub/.nomedia").unlink()
        source.complete()
        (tmp_path / "sub/deep/b.jpg").touch()
        assert hear_out(source, tmp_path).files == {"sub/deep/b.jpg"}


def test_folders_that_the_kernel_refuses_are_named_by_their_topmost(tmp_path: Path) -> None:
    for name in ("2020/a/deep", "2021/a", "2022/a", "2022/b"):
        (tmp_path / name).mkdir(parents=True)
    fd = FD(most=4)
    with listening(tmp_path, lambda: fd) as source:
        # The newest are listened to.
        assert source.unwatched == {"2020", "2021"}
        assert "no more folders (fs.inotify.max_user_watches = " in str(source.fault)
        assert "sudo sysctl fs.inotify.max_user_watches=1000000" in str(source.fault)
        (tmp_path / "2022/b/a.jpg").touch()
        assert hear_out(source, tmp_path).files == {"2022/b/a.jpg"}
        (tmp_path / "2023/deep").mkdir(parents=True)
        assert hear_out(source, tmp_path).folders == {"2023"}
        assert source.unwatched == {"2020", "2021", "2023"}
        (tmp_path / "2023").rename(tmp_path / "2024")
        assert hear_out(source, tmp_path).folders == {"2023", "2024"}
        assert source.unwatched == {"2020", "2021", "2024"}


def test_when_the_limit_is_raised_nothing_is_unwatched(tmp_path: Path) -> None:
    for name in "abcdef":
        (tmp_path / name).mkdir()
    fd = FD(most=3)
    with listening(tmp_path, lambda: fd) as source:
        assert len(source.unwatched) == 4
        fd.most = 100
        source.complete()
        assert (source.unwatched, source.fault) == (frozenset(), None)
        (tmp_path / "a/a.jpg").touch()
        assert hear_out(source, tmp_path).files == {"a/a.jpg"}


def test_a_refused_folder_that_is_marked_meanwhile_is_none_of_our_business(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    fd = FD(most=1)
    with listening(tmp_path, lambda: fd, lambda path: (tmp_path / path / ".nomedia").exists()) as source:
        assert source.unwatched == {"sub"}
        (tmp_path / "sub/.nomedia").touch()
        fd.most = 100
        source.complete()
        assert (source.unwatched, fd.n_watches) == (frozenset(), 1)


def test_when_the_refused_folders_are_removed_nothing_is_unwatched(tmp_path: Path) -> None:
    (tmp_path / "sub/deep").mkdir(parents=True)
    fd = FD(most=1)
    with listening(tmp_path, lambda: fd) as source:
        assert source.unwatched == {"sub"}
        shutil.rmtree(tmp_path / "sub")
        assert hear_out(source, tmp_path).folders == {"sub"}
        assert (source.unwatched, source.fault) == (frozenset(), None)


def test_a_root_that_the_kernel_refuses_cannot_be_listened_to(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="max_user_watches") as caught, listening(tmp_path, lambda: FD(most=0)):
        raise AssertionError
    assert caught.value.errno == errno.ENOSPC


def test_a_folder_that_becomes_readable_is_heard(tmp_path: Path) -> None:
    (tmp_path / "sub/deep").mkdir(parents=True)
    fd = FD(unreadable=frozenset({str(tmp_path / "sub")}))
    with listening(tmp_path, lambda: fd) as source:
        assert (source.unwatched, fd.n_watches) == (frozenset(), 1)
        fd.unreadable.clear()
        (tmp_path / "sub").chmod(0o755)
        assert hear_out(source, tmp_path).folders == {"sub"}
        (tmp_path / "sub/deep/a.jpg").touch()
        assert hear_out(source, tmp_path).files == {"sub/deep/a.jpg"}


def test_a_root_that_cannot_be_read_cannot_be_listened_to(tmp_path: Path) -> None:
    unreadable = frozenset({str(tmp_path)})
    with pytest.raises(PermissionError), listening(tmp_path, lambda: FD(unreadable=unreadable)):
        raise AssertionError


def test_events_that_the_kernel_lost_are_told_and_no_folder_stays_unheard(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "old").mkdir()
    n_most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    fd = FD()
    with listening(tmp_path, lambda: fd) as source, ExitStack() as stack:
        stack.callback(fd.may_read.set)
        fd.may_read.clear()
        # Wakes it once more: it may be waiting for the next already.
        (tmp_path / "first.jpg").touch()
        hear(source, lambda heard: bool(heard))
        for i in range(n_most // 2 + 500):
            (tmp_path / f"sub/{i}.jpg").touch()  # made and closed
        (tmp_path / "unheard/deep").mkdir(parents=True)
        (tmp_path / "old").rename(tmp_path / "renamed unheard")
        fd.may_read.set()
        heard = hear(source, lambda heard: heard.is_overflown)
        assert heard.is_overflown
        assert "" in heard.folders
        while hear_out(source, tmp_path):
            pass
        for path in ("unheard/deep/a.jpg", "renamed unheard/b.jpg", "sub/c.jpg"):
            (tmp_path / path).touch()
        heard = hear_out(source, tmp_path)
        assert heard.files == {"unheard/deep/a.jpg", "renamed unheard/b.jpg", "sub/c.jpg"}
        assert fd.n_watches == 5


def test_a_root_that_is_replaced_asks_for_a_look_at_everything_and_is_heard_on(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "new/deep").mkdir(parents=True)
    with InotifySource(root, skips=is_hidden) as source:
        root.rename(tmp_path / "old")
        heard = hear(source, lambda heard: "" in heard.folders)
        assert heard.folders == {""}
        assert source.unwatched == {""}
        assert source.fault
        (tmp_path / "old/sub/a.jpg").touch()
        (tmp_path / "new").rename(root)
        source.complete()
        assert (source.unwatched, source.fault) == (frozenset(), None)
        (root / "deep/b.jpg").touch()
        assert hear_out(source, root).files == {"deep/b.jpg"}
        shutil.rmtree(root)
        assert "" in hear(source, lambda heard: "" in heard.folders).folders


def test_a_root_that_moved_with_the_folder_above_it_is_found_by_the_next_look(tmp_path: Path) -> None:
    root = tmp_path / "disk/photos"
    (root / "sub").mkdir(parents=True)
    with InotifySource(root, skips=is_hidden) as source:
        (tmp_path / "disk").rename(tmp_path / "other")
        source.complete()
        assert source.unwatched == {""}
        (root / "fresh").mkdir(parents=True)
        source.complete()
        assert source.unwatched == frozenset()
        (tmp_path / "other/photos/sub/a.jpg").touch()
        (root / "fresh/b.jpg").touch()
        assert hear_out(source, root).files == {"fresh/b.jpg"}


def test_a_fault_while_following_is_told_and_does_not_end_the_listening(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(path: str) -> bool:
        if path == "bad":
            raise RuntimeError("cannot tell")
        return False

    with InotifySource(tmp_path, skips=fails) as source:
        (tmp_path / "bad").mkdir()
        heard = hear(source, lambda heard: heard.is_overflown)
        assert heard == Events(frozenset(), frozenset({""}), is_overflown=True)
        assert "cannot follow" in caplog.text
        (tmp_path / "a.jpg").touch()
        assert "a.jpg" in hear(source, lambda heard: "a.jpg" in heard.files).files


def test_a_fault_at_the_start_ends_the_listening(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()

    def fails(path: str) -> bool:
        raise RuntimeError("cannot tell")

    with pytest.raises(RuntimeError, match="cannot tell"), InotifySource(tmp_path, skips=fails):
        raise AssertionError


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_asked_whether_it_is_skipped_is_listened_to(
    tmp_path: Path, listen: Listen, number: int
) -> None:
    for name in ("lost+found", "sub"):
        (tmp_path / name).mkdir()

    def fails(path: str) -> bool:
        if path in ("lost+found", "made later"):
            raise OSError(number, os.strerror(number), path)
        return is_hidden(path)

    with listen(tmp_path, skips=fails) as source:
        assert (source.unwatched, source.fault) == (frozenset(), None)
        (tmp_path / "made later").mkdir()
        heard = hear(source, lambda heard: "made later" in heard.folders)
        assert "made later" in heard.folders
        assert not heard.is_overflown
        expected = {"lost+found/a.jpg", "sub/b.jpg", "made later/.c.jpg"}
        for path in expected:
            (tmp_path / path).touch()
        assert hear(source, lambda heard: expected <= heard.files).files >= expected
        source.complete()
        assert source.unwatched == frozenset()


def test_a_folder_that_others_alone_may_read_is_left_out_and_the_rest_is_heard(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for name in ("lost+found", "sub/deep"):
        (root / name).mkdir(parents=True)
    root.chmod(0o755)
    (root / "lost+found").chmod(0o000)
    (root / "sub/deep").chmod(0o777)
    script = """
    import json, os, sys
    from pathlib import Path
    from facewatch.watcher.inotify import InotifySource
    def is_marked(folder):
        return ".nomedia" in os.listdir(root / folder)
    root = Path(".")  # whoever that is may not go through the folders above
    os.chdir(sys.argv[1])
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    try:
        is_marked("lost+found")
    except PermissionError:
        print("cannot be asked", file=sys.stderr)
    with InotifySource(root, skips=is_marked) as source:
        (root / "sub/deep/a.jpg").touch()
        print(json.dumps([sorted(source.take(20).files), sorted(source.unwatched), source.fault]))
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script), root],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
    (root / "lost+found").chmod(0o755)
    assert (done.returncode, done.stderr) == (0, "cannot be asked\n")
    assert json.loads(done.stdout) == [["sub/deep/a.jpg"], [], None]


def test_a_folder_that_cannot_be_listed_is_named_and_what_is_known_in_it_is_heard_on(tmp_path: Path) -> None:
    (tmp_path / "bad/known").mkdir(parents=True)
    (tmp_path / "good").mkdir()
    failing: set[str] = set()

    def names_or_fail(folder: str) -> list[str]:
        if folder in failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO), folder)
        return names_in(folder)

    def listen_so(root: Path, *, skips: Skips) -> EventSource:
        return InotifySource(root, skips=skips, names_in=names_or_fail)

    with listen_so(tmp_path, skips=is_hidden) as source:
        failing.add(str(tmp_path / "bad"))
        source.complete()
        assert source.unwatched == {"bad"}
        assert source.fault == os.strerror(errno.EIO)
        expected = {"bad/a.jpg", "bad/known/b.jpg", "good/c.jpg"}
        for path in expected:
            (tmp_path / path).touch()
        assert hear_out(source, tmp_path).files == expected
        failing.clear()
        source.complete()
        assert (source.unwatched, source.fault) == (frozenset(), None)
    failing.add(str(tmp_path / "bad"))
    with listen_so(tmp_path, skips=is_hidden) as source:
        assert source.unwatched == {"bad"}
        (tmp_path / "good/d.jpg").touch()
        assert hear_out(source, tmp_path).files == {"good/d.jpg"}
        (tmp_path / "bad").rename(tmp_path / "moved")
        assert hear_out(source, tmp_path).folders == {"bad", "moved"}
        assert (source.unwatched, source.fault) == (frozenset(), None)
        (tmp_path / "moved/known/e.jpg").touch()
        assert hear_out(source, tmp_path).files == {"moved/known/e.jpg"}


def test_a_folder_that_is_watched_and_becomes_listable_is_heard_with_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "sub/deep").mkdir(parents=True)
    failing = {str(tmp_path / "sub")}

    def names_or_fail(folder: str) -> list[str]:
        if folder in failing:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return names_in(folder)

    def listen_so(root: Path, *, skips: Skips) -> EventSource:
        return InotifySource(root, skips=skips, names_in=names_or_fail)

    with listen_so(tmp_path, skips=is_hidden) as source:
        (tmp_path / "sub/a.jpg").touch()
        assert hear_out(source, tmp_path).files == {"sub/a.jpg"}
        failing.clear()
        (tmp_path / "sub").chmod(0o755)
        assert hear_out(source, tmp_path).folders == {"sub"}
        (tmp_path / "sub/deep/b.jpg").touch()
        assert hear_out(source, tmp_path).files == {"sub/deep/b.jpg"}


NAMES = st.sampled_from("abc")
PLACES = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("make"), PLACES, PLACES),
        st.tuples(st.just("write"), PLACES, PLACES),
        st.tuples(st.just("move"), PLACES, PLACES),
        st.tuples(st.just("move out"), PLACES, PLACES),
        st.tuples(st.just("move in"), PLACES, PLACES),
        st.tuples(st.just("remove"), PLACES, PLACES),
        st.tuples(st.just("listen"), PLACES, PLACES),
        st.tuples(st.just("complete"), PLACES, PLACES),
    ),
    max_size=25,
)


def do(deed: str, place: Path, other: Path, outside: Path) -> None:
    """Do what a user may do with a folder, as far as the file system lets him."""
    try:
        if deed == "make":
            place.mkdir(parents=True)
        elif deed == "write":
            (place / "photo.jpg").write_text("x")
        elif deed == "move":
            place.rename(other)
        elif deed == "move out":
            place.rename(outside)
        elif deed == "move in":
            outside.rename(place)
        elif deed == "remove":
            shutil.rmtree(place)
    except OSError:
        pass


WITHIN = st.one_of(st.just(""), PLACES)


def is_within(path: str, folder: str) -> bool:
    return not folder or f"{path}/".startswith(f"{folder}/")


@given(st.lists(st.tuples(st.sampled_from(["add", "take"]), WITHIN)), WITHIN)
def test_paths_within_a_folder_are_found_and_taken_whatever_came_before(
    deeds: list[tuple[str, str]], folder: str
) -> None:
    paths, expected = Paths(), set[str]()
    for deed, path in deeds:
        if deed == "add":
            paths.add(path)
            expected.add(path)
        else:
            assert paths.take_within(path) == sorted(one for one in expected if is_within(one, path))
            expected = {one for one in expected if not is_within(one, path)}
        assert (set(paths), len(paths)) == (expected, len(expected))
        assert paths.within(folder) == sorted(one for one in expected if is_within(one, folder))
        # Nothing is kept of what was taken.
        assert set(paths._below) == {above for one in expected for above in folders_above(one)}


def test_finding_the_paths_within_a_folder_touches_no_others() -> None:
    class Touched(str):
        n_times = 0

        def __eq__(self, other: object) -> bool:
            Touched.n_times += 1
            return str.__eq__(self, other)

        def __hash__(self) -> int:
            Touched.n_times += 1
            return str.__hash__(self)

        def startswith(self, *arguments: Any) -> bool:
            Touched.n_times += 1
            return str.startswith(self, *arguments)

    paths = Paths()
    for i in range(1_000):
        paths.add(Touched(f"old/{i}"))
    paths.add("new/a")
    assert Touched.n_times
    Touched.n_times = 0
    assert paths.within("new") == ["new/a"]
    assert paths.take_within("newer") == []
    assert paths.take_within("new") == ["new/a"]
    assert Touched.n_times == 0
    assert len(paths.within("old")) == 1_000


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DEEDS, st.sampled_from([1, 2, 4, 1000]))
def test_whatever_was_done_every_folder_is_heard_under_its_name_or_said_to_be_unwatched(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[str, str, str]], most: int
) -> None:
    above = tmp_path_factory.mktemp("law")
    root = above / "photos"
    root.mkdir()
    fd = FD(most=most)
    with listening(root, lambda: fd) as source:
        for deed, place, other in deeds:
            do(deed, root / place, root / other, above / "outside")
            if deed == "listen":
                source.take(0.001)
            elif deed == "complete":
                source.complete()
        hear_out(source, root)
        folders = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir()}
        for folder in (*(root / folder for folder in folders), above / "outside"):
            if folder.is_dir():
                (folder / "probe.jpg").touch()
        heard = hear_out(source, root)
        assert source.unwatched <= folders
        watched = {folder for folder in folders if not is_told(f"{folder}/probe.jpg", Events(folders=source.unwatched))}
        assert heard.files == {f"{folder}/probe.jpg" for folder in watched}
        assert not heard.folders
        assert fd.n_watches == len(watched) + 1
        assert (source.fault is None) == (not source.unwatched)
    shutil.rmtree(above)


def test_all_that_is_done_by_others_at_the_same_time_is_told(tmp_path: Path) -> None:
    def fill(name: str) -> None:
        for i in range(150):
            folder = tmp_path / f"{name}{i % 10}/{i}/deep"
            folder.mkdir(parents=True)
            (folder / "a.jpg").write_text("x")
            if i % 3 == 0:
                folder.parent.rename(folder.parent.with_name(f"moved {i}"))

    writers = [threading.Thread(target=fill, args=(name,)) for name in "pqr"]
    with InotifySource(tmp_path, skips=is_hidden) as source, ExitStack() as stack:
        for writer in writers:
            writer.start()
            stack.callback(writer.join)
        stack.close()
        heard = hear_out(source, tmp_path)
        files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg")]
        assert len(files) == 450
        assert all(is_told(path, heard) for path in files)


def test_what_happens_twice_is_held_once() -> None:
    buffer = EventBuffer()
    for _ in range(1000):
        buffer.add_file("a/b.jpg")
        buffer.add_folder("c")
    assert buffer.take(0.0) == Events(frozenset({"a/b.jpg"}), frozenset({"c"}))
    assert not buffer.take(0.0)


def test_what_a_look_at_a_folder_tells_is_not_told_besides() -> None:
    buffer = EventBuffer()
    for path in ("a/b.jpg", "a/b/c.jpg", "ab/c.jpg", "d.jpg"):
        buffer.add_file(path)
    for path in ("a/b/c", "a", "a/b", "e/f"):
        buffer.add_folder(path)
    assert buffer.take(0.0) == Events(frozenset({"ab/c.jpg", "d.jpg"}), frozenset({"a", "e/f"}))
    buffer.add_file("x/y.jpg")
    buffer.add_folder("x")
    buffer.overflow()
    assert buffer.take(0.0) == Events(frozenset(), frozenset({""}), is_overflown=True)


@given(st.lists(st.tuples(PLACES, st.booleans())), st.integers(1, 5))
def test_however_much_is_held_nothing_is_forgotten(told: list[tuple[str, bool]], most: int) -> None:
    buffer = EventBuffer(most)
    for path, is_folder in told:
        (buffer.add_folder if is_folder else buffer.add_file)(path)
    heard = buffer.take(0.0)
    assert len(heard.files) <= most
    for path, is_folder in told:
        assert is_told(path, heard) or (is_folder and path in heard.folders)


def test_waiting_ends_when_something_is_heard() -> None:
    buffer = EventBuffer()
    teller = threading.Thread(target=buffer.add_file, args=("a",))
    teller.start()
    assert buffer.take(PATIENCE).files == {"a"}
    teller.join()


def in_namespace(code: str, folder: Path, *, limits: str = "") -> dict[str, object]:
    """Run a script that listens in a namespace of its own, where a user may set limits and mount, and return what it
    prints."""
    prelude = (
        "import json, os, sys, time\nfrom pathlib import Path\nfrom facewatch.watcher.inotify import InotifySource\n"
    )
    script = folder.with_name("script.py")
    script.write_text(prelude + textwrap.dedent(code))
    command = f"{limits} exec {sys.executable} -P {script} {folder}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-e", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
    if done.returncode:
        is_refused = "unshare:" in done.stderr or "/proc/sys/user" in done.stderr or "mount:" in done.stderr
        # Where it is promised to work, nothing may be skipped.
        if is_refused and not (os.environ.get("CI") and os.geteuid() == 0):
            pytest.skip(f"needs a user namespace with limits of its own ({done.stderr.strip()})")
        pytest.fail(done.stderr)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_the_real_limit_of_watches_is_met_by_naming_the_rest(tmp_path: Path) -> None:
    for i in range(10):
        (tmp_path / f"photos/{i}/deep").mkdir(parents=True)
    answer = in_namespace(
        """
        with InotifySource(Path(sys.argv[1]), skips=lambda path: False) as source:
            (Path(sys.argv[1]) / "9/deep/a.jpg").touch()
            heard = source.take(10)
            print(json.dumps([sorted(source.unwatched), source.fault, sorted(heard.files)]))
        """,
        tmp_path / "photos",
        limits="echo 8 > /proc/sys/user/max_inotify_watches;",
    )
    unwatched, fault, files = answer
    assert unwatched == [*(str(i) for i in range(6)), "6/deep"]
    assert "user.max_inotify_watches = 8): sudo sysctl user.max_inotify_watches=1000000" in str(fault)
    assert files == ["9/deep/a.jpg"]


def test_the_real_limit_of_listeners_is_said_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    answer = in_namespace(
        """
        try:
            with InotifySource(Path(sys.argv[1]), skips=lambda path: False):
                pass
        except OSError as error:
            print(json.dumps([error.errno, error.strerror]))
        """,
        tmp_path / "photos",
        limits="echo 0 > /proc/sys/user/max_inotify_instances;",
    )
    number, words = answer
    assert number == errno.EMFILE
    assert "user.max_inotify_instances = 0): sudo sysctl user.max_inotify_instances=1024" in str(words)


def test_a_root_that_is_unmounted_is_told_and_what_lies_below_is_heard(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    answer = in_namespace(
        """
        root = Path(sys.argv[1])
        with InotifySource(root, skips=lambda path: False) as source:
            os.system(f"umount {root}")
            lost = source.take(10)
            while "" not in lost.folders:
                lost = source.take(10)
            (root / "a.jpg").touch()
            after = source.take(10)
            print(json.dumps([sorted(lost.folders), sorted(after.files), sorted(source.unwatched)]))
        """,
        tmp_path / "photos",
        limits=f"mount -t tmpfs none {tmp_path}/photos; mkdir {tmp_path}/photos/sub;",
    )
    assert answer == [[""], ["a.jpg"], []]


def test_a_folder_that_is_unmounted_is_told_and_what_lies_below_is_heard(tmp_path: Path) -> None:
    (tmp_path / "photos/card").mkdir(parents=True)
    answer = in_namespace(
        """
        root = Path(sys.argv[1])
        with InotifySource(root, skips=lambda path: False) as source:
            os.system(f"umount {root}/card")
            lost = source.take(10)
            (root / "card/a.jpg").touch()
            after = source.take(10)
            print(json.dumps([sorted(lost.folders), sorted(after.files)]))
        """,
        tmp_path / "photos",
        limits=f"mount -t tmpfs none {tmp_path}/photos/card;",
    )
    assert answer == [["card"], ["card/a.jpg"]]


def test_a_folder_that_is_mounted_twice_is_heard_under_one_name_and_said_to_be_unwatched_under_the_other(
    tmp_path: Path,
) -> None:
    (tmp_path / "photos/a/deep").mkdir(parents=True)
    (tmp_path / "photos/b").mkdir(parents=True)
    answer = in_namespace(
        """
        root = Path(sys.argv[1])
        with InotifySource(root, skips=lambda path: False) as source:
            (root / "a/deep/a.jpg").touch()
            heard = source.take(10)
            print(json.dumps([sorted(heard.files), sorted(source.unwatched), source.fault]))
        """,
        tmp_path / "photos",
        limits=f"mount --bind {tmp_path}/photos/a {tmp_path}/photos/b;",
    )
    assert answer == [["b/deep/a.jpg"], ["a"], "a is mounted twice, also as b"]
