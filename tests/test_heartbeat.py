"""What a running watcher says: written whole or not at all, read by any version, not believed of the dead."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from users import as_a_user

from facewatch.heartbeat import (
    FRESH_SECONDS,
    LEAST_BYTES,
    MOST_BYTES,
    MOST_NAMED,
    TRIES,
    Activity,
    Backlog,
    Heartbeat,
    HeartbeatFile,
    WatchedLibraries,
    heartbeat_file_of,
)

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

BUSY = Heartbeat(
    pid=os.getpid(),
    started_at="2026-11-22T11:00:00Z",
    told_at="2026-11-22T11:59:58Z",
    activity=Activity.INDEXING,
    doing="analysing photos",
    memory_mb=812.5,
    backlog=Backlog(n_settling=3, n_waiting=40, n_done=7, photos_per_second=2.5, eta_seconds=16.0),
    libraries=WatchedLibraries(
        last_look={"/photos": "2026-11-22T11:30:00Z"},
        polled={"/photos/nas": "nfs4"},
        offline={"/photos/usb": "gone since 11:00"},
    ),
)


def changed(heartbeat: Heartbeat, **facts: Any) -> Heartbeat:
    """Return it with other facts, called as in the file."""
    return Heartbeat.from_json(heartbeat.as_json() | facts)


@pytest.fixture
def file(tmp_path: Path) -> HeartbeatFile:
    return HeartbeatFile(tmp_path / "c.sqlite.live.json")


# --- the file ---


def test_what_was_said_is_read_as_it_was(file: HeartbeatFile) -> None:
    file.write(BUSY)
    assert file.read() == BUSY
    file.write(changed(BUSY, doing="idle"))
    assert file.read() == changed(BUSY, doing="idle")


def test_it_lies_beside_the_catalog_and_is_for_the_owner_only(tmp_path: Path) -> None:
    path = heartbeat_file_of(tmp_path / "catalog.sqlite")
    assert path == tmp_path / "catalog.sqlite.live.json"
    HeartbeatFile(path).write(BUSY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_text_are_kept(file: HeartbeatFile) -> None:
    odd = os.fsdecode(b"/photos/\xff\n\xe2\x80\xae")
    file.write(changed(BUSY, offline={odd: "gone"}))
    live = file.read()
    assert live is not None
    assert live.libraries.offline == {odd: "gone"}


def test_of_very_many_folders_the_first_are_named_and_the_rest_counted(file: HeartbeatFile) -> None:
    # As the watcher has it when the kernel watches no more folders.
    reason = "the kernel watches only 65,536 folders: echo fs.inotify.max_user_watches=524288 | sudo tee -a /etc/x" * 2
    many = {f"/photos/{i:06}": reason for i in reversed(range(100_000))}
    file.write(changed(BUSY, polled=many, offline=many, last_look=many))
    live = file.read()
    assert live is not None
    for named in ("polled", "offline", "last_look"):
        first = [(f"/photos/{i:06}", reason) for i in range(MOST_NAMED)]
        assert list(getattr(live.libraries, named).items()) == first
        assert live.libraries.n_more[named] == 99_980
        assert list(live.libraries.listed(named).items()) == [*first, ("... and 99980 more", "")]
        assert list(json.loads(file.path.read_text())[named].items()) == [*first, ("... and 99980 more", "")]
    assert (live.doing, live.backlog) == (BUSY.doing, BUSY.backlog)


def test_as_many_as_are_named_are_all_named(file: HeartbeatFile) -> None:
    some = {f"/photos/{i}": "nfs4" for i in range(MOST_NAMED)}
    file.write(changed(BUSY, polled=some))
    live = file.read()
    assert live is not None
    assert live.libraries.polled == some


@given(
    name=st.characters(codec=None, exclude_categories=()),
    length=st.sampled_from([1, 4096, 60_000]),
    n=st.sampled_from([0, 1, MOST_NAMED, 200]),
)
def test_whatever_is_written_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, length: int, n: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "long.live.json"
    long = name * length
    many = {f"/{i}{long}": long for i in range(n)}
    HeartbeatFile(path).write(changed(BUSY, doing=long, polled=many, offline=many, last_look=many))
    assert path.stat().st_size < MOST_BYTES
    live = HeartbeatFile(path).read()
    assert live is not None
    assert live.backlog == BUSY.backlog
    assert bool(live.libraries.listed("polled")) == bool(n)


def test_nothing_is_said_before_the_first_and_after_the_last(file: HeartbeatFile) -> None:
    assert file.read() is None
    file.write(BUSY)
    file.remove()
    assert file.read() is None
    file.remove()


def test_what_a_process_said_that_is_gone_does_not_count(file: HeartbeatFile) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    file.write(changed(BUSY, pid=int(gone.stdout)))
    assert file.read() is None
    for pid in (0, -1, 2**40):
        file.write(changed(BUSY, pid=pid))
        assert file.read() is None


def test_who_knows_better_says_which_process_is_at_work(file: HeartbeatFile) -> None:
    file.write(BUSY)
    assert HeartbeatFile(file.path, is_at_work=lambda pid: pid != BUSY.pid).read() is None
    file.write(changed(BUSY, pid=2**22 + 1))
    assert HeartbeatFile(file.path, is_at_work=lambda pid: True).read() is not None


def test_a_newer_version_may_say_more_and_an_older_one_less(file: HeartbeatFile) -> None:
    file.path.write_text(json.dumps(BUSY.as_json() | {"n_dreams": 4}))
    assert file.read() == BUSY
    file.path.write_text(json.dumps({"pid": os.getpid(), "doing": "idle"}))
    assert file.read() == Heartbeat(pid=os.getpid(), doing="idle")
    file.path.write_text(json.dumps(BUSY.as_json() | {"activity": "dreaming"}))
    assert file.read() == changed(BUSY, activity="")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"idle"',
        b"\xff\xfe",
        b'{"pid": "1"}',
        b'{"pid": true}',
        b'{"pid": 1, "doing": 3}',
        b'{"pid": 1, "activity": 3}',
        b'{"pid": 1, "n_more": {"polled": "3"}}',
        b'{"pid": 1, "offline": ["/photos"]}',
        b'{"pid": 1, "offline": {"/photos": 3}}',
        b'{"pid": 1, "photos_per_second": null}',
        b'{"pid": 1, "eta_seconds": NaN}',
        b'{"pid": 1, "memory_mb": Infinity}',
        b'{"pid": 1, "eta_seconds": 1e999}',
        b'{"pid": 1, "n_done": 1' + b"0" * 400 + b"}",
        b"[" * 100_000,
        b'{"pid": 1, "doing": "' + b"x" * MOST_BYTES + b'"}',
    ],
)
def test_what_makes_no_sense_is_nothing(file: HeartbeatFile, content: bytes) -> None:
    file.path.write_bytes(content)
    assert HeartbeatFile(file.path, is_at_work=lambda pid: True, wait=lambda _: None).read() is None


@given(content=st.binary(max_size=200))
def test_no_content_whatever_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.live.json"
    path.write_bytes(content)
    HeartbeatFile(path, wait=lambda _: None).read()


def test_a_watcher_that_cannot_write_goes_on(tmp_path: Path) -> None:
    HeartbeatFile(tmp_path / "absent" / "c.live.json").write(BUSY)
    folder = tmp_path / "c.live.json"
    folder.mkdir()
    HeartbeatFile(folder).write(BUSY)
    assert HeartbeatFile(folder).read() is None
    HeartbeatFile(folder).remove()
    assert list(tmp_path.iterdir()) == [folder]


def test_without_room_for_another_file_what_was_said_before_is_written_over(file: HeartbeatFile) -> None:
    file.write(BUSY)
    node, size = file.path.stat().st_ino, file.path.stat().st_size
    assert size >= LEAST_BYTES
    full = changed(BUSY, doing="the disk is full: make room", told_at="2026-11-22T12:09:00Z")
    file.path.parent.chmod(0o500)
    try:
        as_a_user(lambda: file.write(full))
        assert file.read() == full
        assert (file.path.stat().st_ino, file.path.stat().st_size) == (node, size)
        # More than there is room for goes without its names.
        many = {f"/{i}{'x' * 4000}": "nfs4" for i in range(MOST_NAMED)}
        as_a_user(lambda: file.write(changed(BUSY, doing="\N{GRINNING FACE}" * 5000, polled=many, offline=many)))
        live = file.read()
    finally:
        file.path.parent.chmod(0o700)
    assert live is not None
    assert live.doing == "\N{GRINNING FACE}" * 1000
    assert list(live.libraries.listed("polled")) == [f"... and {MOST_NAMED} more"]
    assert file.path.stat().st_size == size


@pytest.mark.parametrize("is_symbolic", [True, False])
def test_a_file_of_another_name_is_not_written_over(file: HeartbeatFile, tmp_path: Path, is_symbolic: bool) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine" * LEAST_BYTES)
    (file.path.symlink_to if is_symbolic else file.path.hardlink_to)(precious)
    tmp_path.chmod(0o500)
    try:
        as_a_user(lambda: file.write(BUSY))
    finally:
        tmp_path.chmod(0o700)
    assert precious.read_bytes() == b"mine" * LEAST_BYTES


def test_what_is_half_written_is_read_a_moment_later(file: HeartbeatFile) -> None:
    file.write(BUSY)
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:100])
    moments: list[float] = []

    def wait(seconds: float) -> None:
        moments.append(seconds)
        file.path.write_bytes(whole)

    assert HeartbeatFile(file.path, wait=wait).read() == BUSY
    assert len(moments) == 1
    file.path.write_bytes(whole[:100])
    assert HeartbeatFile(file.path, wait=moments.append).read() is None
    assert len(moments) == TRIES
    assert max(moments) < 0.1


def test_what_cannot_be_written_at_all_leaves_what_was_said_before_and_no_litter(file: HeartbeatFile) -> None:
    file.write(BUSY)
    resource = pytest.importorskip("resource")
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        file.write(changed(BUSY, doing="the disk is full"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert file.read() == BUSY
    assert list(file.path.parent.iterdir()) == [file.path]


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(file: HeartbeatFile, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in (file.path.name, f"{file.path.name}.tmp"):
        (tmp_path / name).symlink_to(precious)
    file.write(BUSY)
    assert file.read() == BUSY
    assert precious.read_text() == "mine"


# --- how old it is ---


@pytest.mark.parametrize(
    ("told_at", "silent_seconds", "is_fresh"),
    [
        ("2026-11-22T11:59:58Z", FRESH_SECONDS, True),
        ("2026-11-22T11:58:59Z", FRESH_SECONDS, False),
        ("2026-11-22T11:58:59Z", 1800.0, True),
        # Less than a minute is never too long: the reader's clock may differ a little.
        ("2026-11-22T11:59:30Z", 5.0, True),
        # The clock was set back.
        ("2026-11-22T12:00:20Z", FRESH_SECONDS, True),
        ("2026-11-22T13:00:00Z", FRESH_SECONDS, False),
        ("", FRESH_SECONDS, False),
        ("yesterday", FRESH_SECONDS, False),
        ("2026-11-22T11:59:58", FRESH_SECONDS, True),
    ],
)
def test_silence_counts_from_a_minute_on_unless_it_was_announced(
    told_at: str, silent_seconds: float, is_fresh: bool
) -> None:
    assert changed(BUSY, told_at=told_at, silent_seconds=silent_seconds).is_fresh(NOON) is is_fresh
