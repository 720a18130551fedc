"""What a running watcher says: written whole or not at all, read by any version, not believed of the dead."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from users import as_a_user

from facewatch.heartbeat import (
    FRESH_SECONDS,
    LEAST_BYTES,
    MOST_BYTES,
    MOST_NAMED,
    PACE_SECONDS,
    TRIES,
    Live,
    LiveFile,
    Pace,
    is_named,
    live_file_of,
    memory_mb,
)
from facewatch.watcher.reporter import Teller
from facewatch.watcher.schedule import Hours

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

BUSY = Live(
    pid=os.getpid(),
    started_at="2026-11-22T11:00:00Z",
    told_at="2026-11-22T11:59:58Z",
    doing="looking at photos",
    n_settling=3,
    n_waiting=40,
    n_done=7,
    photos_per_second=2.5,
    eta_seconds=16.0,
    last_look={"/photos": "2026-11-22T11:30:00Z"},
    polled={"/photos/nas": "nfs4"},
    offline={"/photos/usb": "gone since 11:00"},
    memory_mb=812.5,
)


@pytest.fixture
def file(tmp_path: Path) -> LiveFile:
    return LiveFile(tmp_path / "c.sqlite.live.json")


class Clock:
    """Seconds that somebody else lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# --- the file ---


def test_what_was_said_is_read_as_it_was(file: LiveFile) -> None:
    file.write(BUSY)
    assert file.read() == BUSY
    file.write(replace(BUSY, doing="idle"))
    assert file.read() == replace(BUSY, doing="idle")


def test_it_lies_beside_the_catalog_and_is_for_the_owner_only(tmp_path: Path) -> None:
    path = live_file_of(tmp_path / "catalog.sqlite")
    assert path == tmp_path / "catalog.sqlite.live.json"
    LiveFile(path).write(BUSY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_text_are_kept(file: LiveFile) -> None:
    odd = os.fsdecode(b"/photos/\xff\n\xe2\x80\xae")
    file.write(replace(BUSY, offline={odd: "gone"}))
    live = file.read()
    assert live is not None
    assert live.offline == {odd: "gone"}


def test_of_very_many_folders_the_first_are_named_and_the_rest_counted(file: LiveFile) -> None:
    # As the watcher has it when the kernel watches no more folders.
    reason = "the kernel watches only 65,536 folders: echo fs.inotify.max_user_watches=524288 | sudo tee -a /etc/x" * 2
    many = {f"/photos/{i:06}": reason for i in reversed(range(100_000))}
    file.write(replace(BUSY, polled=many, offline=many, last_look=many))
    live = file.read()
    assert live is not None
    for named in (live.polled, live.offline, live.last_look):
        *first, rest = named.items()
        assert first == [(f"/photos/{i:06}", reason) for i in range(MOST_NAMED)]
        assert rest == ("... and 99980 more", "")
        assert [is_named(name) for name in named] == [True] * MOST_NAMED + [False]
    assert (live.doing, live.n_waiting) == (BUSY.doing, BUSY.n_waiting)


def test_as_many_as_are_named_are_all_named(file: LiveFile) -> None:
    some = {f"/photos/{i}": "nfs4" for i in range(MOST_NAMED)}
    file.write(replace(BUSY, polled=some))
    live = file.read()
    assert live is not None
    assert live.polled == some


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
    LiveFile(path).write(replace(BUSY, doing=long, polled=many, offline=many, last_look=many))
    assert path.stat().st_size < MOST_BYTES
    live = LiveFile(path).read()
    assert live is not None
    assert live.n_waiting == BUSY.n_waiting
    assert bool(live.polled) == bool(n)


def test_nothing_is_said_before_the_first_and_after_the_last(file: LiveFile) -> None:
    assert file.read() is None
    file.write(BUSY)
    file.remove()
    assert file.read() is None
    file.remove()


def test_what_a_process_said_that_is_gone_does_not_count(file: LiveFile) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    file.write(replace(BUSY, pid=int(gone.stdout)))
    assert file.read() is None
    for pid in (0, -1, 2**40):
        file.write(replace(BUSY, pid=pid))
        assert file.read() is None


def test_who_knows_better_says_which_process_is_at_work(file: LiveFile) -> None:
    file.write(BUSY)
    assert LiveFile(file.path, is_at_work=lambda pid: pid != BUSY.pid).read() is None
    file.write(replace(BUSY, pid=2**22 + 1))
    assert LiveFile(file.path, is_at_work=lambda pid: True).read() is not None


def test_a_newer_version_may_say_more_and_an_older_one_less(file: LiveFile) -> None:
    file.path.write_text(json.dumps(asdict(BUSY) | {"n_dreams": 4}))
    assert file.read() == BUSY
    file.path.write_text(json.dumps({"pid": os.getpid(), "doing": "idle"}))
    assert file.read() == Live(pid=os.getpid(), doing="idle")


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
def test_what_makes_no_sense_is_nothing(file: LiveFile, content: bytes) -> None:
    file.path.write_bytes(content)
    assert LiveFile(file.path, is_at_work=lambda pid: True, wait=lambda _: None).read() is None


@given(content=st.binary(max_size=200))
def test_no_content_whatever_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.live.json"
    path.write_bytes(content)
    LiveFile(path, wait=lambda _: None).read()


def test_a_watcher_that_cannot_write_goes_on(tmp_path: Path) -> None:
    LiveFile(tmp_path / "absent" / "c.live.json").write(BUSY)
    folder = tmp_path / "c.live.json"
    folder.mkdir()
    LiveFile(folder).write(BUSY)
    assert LiveFile(folder).read() is None
    LiveFile(folder).remove()
    assert list(tmp_path.iterdir()) == [folder]


def test_without_room_for_another_file_what_was_said_before_is_written_over(file: LiveFile) -> None:
    file.write(BUSY)
    node, size = file.path.stat().st_ino, file.path.stat().st_size
    assert size >= LEAST_BYTES
    full = replace(BUSY, doing="the disk is full: make room", told_at="2026-11-22T12:09:00Z")
    file.path.parent.chmod(0o500)
    try:
        as_a_user(lambda: file.write(full))
        assert file.read() == full
        assert (file.path.stat().st_ino, file.path.stat().st_size) == (node, size)
        # More than there is room for goes without its names.
        many = {f"/{i}{'x' * 4000}": "nfs4" for i in range(MOST_NAMED)}
        as_a_user(lambda: file.write(replace(BUSY, doing="\N{GRINNING FACE}" * 5000, polled=many, offline=many)))
        live = file.read()
    finally:
        file.path.parent.chmod(0o700)
    assert live is not None
    assert live.doing == "\N{GRINNING FACE}" * 1000
    assert list(live.polled) == [f"... and {MOST_NAMED} more"]
    assert file.path.stat().st_size == size


@pytest.mark.parametrize("is_symbolic", [True, False])
def test_a_file_of_another_name_is_not_written_over(file: LiveFile, tmp_path: Path, is_symbolic: bool) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine" * LEAST_BYTES)
    (file.path.symlink_to if is_symbolic else file.path.hardlink_to)(precious)
    tmp_path.chmod(0o500)
    try:
        as_a_user(lambda: file.write(BUSY))
    finally:
        tmp_path.chmod(0o700)
    assert precious.read_bytes() == b"mine" * LEAST_BYTES


def test_what_is_half_written_is_read_a_moment_later(file: LiveFile) -> None:
    file.write(BUSY)
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:100])
    moments: list[float] = []

    def wait(seconds: float) -> None:
        moments.append(seconds)
        file.path.write_bytes(whole)

    assert LiveFile(file.path, wait=wait).read() == BUSY
    assert len(moments) == 1
    file.path.write_bytes(whole[:100])
    assert LiveFile(file.path, wait=moments.append).read() is None
    assert len(moments) == TRIES
    assert max(moments) < 0.1


def test_what_cannot_be_written_at_all_leaves_what_was_said_before_and_no_litter(file: LiveFile) -> None:
    file.write(BUSY)
    resource = pytest.importorskip("resource")
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        file.write(replace(BUSY, doing="the disk is full"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert file.read() == BUSY
    assert list(file.path.parent.iterdir()) == [file.path]


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(file: LiveFile, tmp_path: Path) -> None:
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
    assert replace(BUSY, told_at=told_at, silent_seconds=silent_seconds).is_fresh(NOON) is is_fresh


# --- the pace ---


def test_the_pace_is_that_of_the_last_minute() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.photos_per_second == 0
    for _ in range(300):
        clock.now += 1.0
        pace.count(4)
    assert pace.photos_per_second == pytest.approx(4, rel=0.05)
    for _ in range(PACE_SECONDS):
        clock.now += 1.0
        pace.count(1)
    assert pace.photos_per_second == pytest.approx(1, rel=0.1)
    clock.now += PACE_SECONDS + 1
    assert pace.photos_per_second == 0
    assert pace.eta_seconds(10) is None


def test_a_burst_is_measured_from_its_begin() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.now += 10_000
    pace.begin()
    for _ in range(20):
        clock.now += 0.5
        pace.count()
    assert pace.photos_per_second == pytest.approx(2)
    assert pace.eta_seconds(100) == pytest.approx(50)
    assert pace.eta_seconds(0) is None


def test_a_first_photo_in_no_time_is_no_thousand_a_second() -> None:
    pace = Pace(Clock())
    pace.count()
    assert pace.photos_per_second == 1


@given(steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 1000)), max_size=300))
def test_a_pace_takes_the_same_memory_however_long_it_runs(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    pace = Pace(clock)
    for seconds, n in steps:
        clock.now += seconds
        pace.count(n)
        assert len(pace._counts) <= PACE_SECONDS + 1
        assert pace.photos_per_second >= 0


def test_the_memory_of_child_processes_counts() -> None:
    alone = psutil.Process().memory_info().rss / 1e6
    with subprocess.Popen(
        [sys.executable, "-c", "b = bytearray(b'x' * 80_000_000); print(len(b), flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert memory_mb() > alone + 75
        child.communicate(b"\n")


# --- the teller ---


class Told:
    """A teller of one library, and what it has said."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.n_waiting = 0
        self.teller = Teller(folder / "c.sqlite", lambda: {"n_waiting": self.n_waiting}, clock=self.clock)
        self._file = LiveFile(live_file_of(folder / "c.sqlite"))

    def photos(self, n: int, seconds: float) -> None:
        """So many are looked at, each in so many seconds."""
        for _ in range(n):
            self.clock.now += seconds
            self.teller.photo()
            self.teller.doing("looking at photos")

    def live(self) -> Live:
        live = self._file.read()
        assert live is not None
        return live


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


@pytest.mark.parametrize("rest", ["paused", "waiting for 22:00"])
@pytest.mark.parametrize("has_batches", [True, False])
def test_the_time_of_a_pause_says_nothing_about_the_pace(told: Told, rest: str, has_batches: bool) -> None:
    told.n_waiting = 100
    told.photos(10, 1.0)
    told.teller.doing(rest)
    told.clock.now += 50.0
    if has_batches:
        told.teller.batch(10)
    told.photos(11, 0.5)
    assert told.live().photos_per_second == pytest.approx(2, rel=0.1)
    assert told.live().eta_seconds == pytest.approx(50, rel=0.1)


def test_the_time_between_two_bursts_says_nothing_about_the_pace(told: Told) -> None:
    told.photos(5, 1.0)
    told.teller.rested()
    told.teller.doing("idle")
    assert (told.live().n_done, told.live().photos_per_second) == (0, 0)
    for _ in range(100):
        told.clock.now += 1.0
        told.teller.rested()
        told.teller.doing("idle")
    told.n_waiting = 8
    told.teller.batch(21)
    told.photos(21, 0.25)
    assert told.live().photos_per_second == pytest.approx(4)
    assert told.live().eta_seconds == pytest.approx(2)


def test_grouping_within_a_burst_belongs_to_its_pace(told: Told) -> None:
    told.teller.batch(10)
    told.photos(10, 1.0)
    told.teller.doing("grouping")
    told.clock.now += 10.0
    told.teller.batch(1)
    told.photos(1, 0.0)
    assert told.live().photos_per_second == pytest.approx(11 / 20, abs=0.01)


def test_files_of_the_batch_in_work_still_wait(told: Told) -> None:
    told.n_waiting = 7
    told.teller.batch(51)
    told.photos(1, 2.0)
    assert told.live().n_waiting == 7 + 50
    told.photos(20, 2.0)
    assert told.live().n_waiting == 7 + 30
    told.photos(40, 2.0)
    assert told.live().n_waiting == 7


@pytest.mark.parametrize("doing", ["idle", "paused", "the disk is full"])
def test_a_batch_that_was_broken_off_waits_no_more(told: Told, doing: str) -> None:
    told.teller.batch(51)
    told.photos(1, 2.0)
    told.teller.doing(doing)
    assert told.live().n_waiting == 0
    told.teller.doing("looking at photos")
    assert told.live().n_waiting == 0


# --- the hours ---


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-22T{text}")


@pytest.mark.parametrize(
    ("hours", "moment", "is_open"),
    [
        ("22:00-06:00", "21:59:59", False),
        ("22:00-06:00", "22:00:00", True),
        ("22:00-06:00", "00:00:00", True),
        ("22:00-06:00", "05:59:59", True),
        ("22:00-06:00", "06:00:00", False),
        ("09:30-17:00", "09:29:00", False),
        ("09:30-17:00", "12:00:00", True),
        ("09:30-17:00", "17:00:00", False),
        ("08:00-08:00", "07:00:00", True),
        ("00:00-00:00", "23:59:59", True),
        ("", "03:00:00", True),
        ("00:00-06:00", "00:00:00", True),
        ("18:00-00:00", "23:59:59", True),
        ("18:00-00:00", "00:00:00", False),
    ],
)
def test_hours_span_midnight_and_equal_ends_are_the_whole_day(hours: str, moment: str, is_open: bool) -> None:
    assert Hours.parse(hours).is_open(at(moment)) is is_open


@pytest.mark.parametrize("text", ["22:00", "22-", "25:00-06:00", "a-b", "22:00-06:61"])
def test_what_is_no_time_of_the_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Hours.parse(text)


times = st.times().map(lambda t: t.replace(second=0, microsecond=0))


@given(opens=times, closes=times)
def test_they_are_open_from_when_they_begin_until_they_end(opens: time, closes: time) -> None:
    hours = Hours.parse(f"{opens:%H:%M}-{closes:%H:%M}")
    begins, ends = (datetime.combine(at("00:00"), moment) for moment in (opens, closes))
    instant = timedelta(microseconds=1)
    assert hours.is_open(begins)
    assert hours.is_open(ends - instant)
    assert hours.is_open(ends) == hours.is_open(begins - instant) == (opens == closes)


def test_an_hour_that_is_left_out_or_comes_twice_changes_nothing() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = Hours.parse("02:30-06:00")
    # 02:00 to 03:00 is left out on this night: the hours begin at the first moment that is later than 02:30.
    before = datetime(2026, 3, 29, 0, 59, tzinfo=UTC).astimezone(berlin)
    after = datetime(2026, 3, 29, 1, 0, tzinfo=UTC).astimezone(berlin)
    assert not night.is_open(before)
    assert night.is_open(after)
    # 02:00 to 03:00 comes twice on this night: what the clock shows counts, both times.
    for hour in (0, 1):
        shown = datetime(2026, 10, 25, hour, 45, tzinfo=UTC).astimezone(berlin)
        assert f"{shown:%H:%M}" == "02:45"
        assert night.is_open(shown)
