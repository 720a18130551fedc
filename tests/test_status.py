"""`facewatch status`: what there is and what is wrong, for people, programs and metrics, in nobody's way; pause."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import terminals
from drawn import TWO_AND_A_STRANGER, Library
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import save_detector, save_recogniser
from terminals import Session

from facewatch import __version__
from facewatch.app import App
from facewatch.catalog import FaultyFile, pause, paused_since, resume
from facewatch.catalog.backup import Backups
from facewatch.catalog.files import GRAPH_RECALL
from facewatch.cli import main
from facewatch.cli.status import _renewing
from facewatch.config import load_config
from facewatch.errors import Fault, FaultCode, LibraryError
from facewatch.heartbeat import (
    MOST_NAMED,
    Activity,
    Backlog,
    Doing,
    Heartbeat,
    HeartbeatFile,
    WatchedLibraries,
    heartbeat_file_of,
)
from facewatch.indexing.engine import SwitchProgress
from facewatch.library.scan import Rules
from facewatch.presentation.reports import status_row
from facewatch.reports.status import (
    N_EXAMPLES,
    Counts,
    EngineStatus,
    FaultGroup,
    Health,
    Status,
    StatusPaths,
    exposition,
    grouped_by_cause,
)
from facewatch.settings import watch_settings_of
from facewatch.watcher.roots import Watched

NOW = datetime.now(UTC)
"""When this file was read: other tests may have taken any time since."""


def text_of(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def busy(**facts: Any) -> Heartbeat:
    """Return what a watcher says that analyses photos just now."""
    said: dict[str, Any] = {
        "pid": os.getpid(),
        "started_at": text_of(NOW - timedelta(hours=1)),
        "told_at": text_of(datetime.now(UTC)),
        "activity": "indexing",
        "doing": "analysing photos",
        "n_settling": 3,
        "n_waiting": 4000,
        "n_done": 800,
        "photos_per_second": 4.2,
        "eta_seconds": 952.0,
        "memory_mb": 812.4,
    }
    return Heartbeat.from_json(said | facts)


@pytest.fixture
def scanned(library: Library) -> Library:
    """Two people in two photos each, one stranger, three bad files of two causes."""
    library.draw_all(TWO_AND_A_STRANGER)
    (library.photos / "bad.jpg").write_bytes(b"no photo")
    (library.photos / "worse.jpg").write_bytes(b"no photo either")
    (library.photos / "empty.jpg").touch()
    library.scan()
    return library


@contextmanager
def watching(library: Library, live: Heartbeat | None = None) -> Iterator[App]:
    """A watcher is at work on the library and says this of itself."""
    with library.app() as app, app.pipeline.running("watch"):
        told(library, live or busy())
        try:
            yield app
        finally:
            HeartbeatFile(heartbeat_file_of(library.catalog)).remove()


def told(library: Library, live: Heartbeat) -> None:
    HeartbeatFile(heartbeat_file_of(library.catalog)).write(live)


def status_of(run: Any, *options: str) -> dict[str, Any]:
    answer = run("status", "--json", *options)
    assert answer.code == 0
    return dict(json.loads(answer.out))


# --- which process is running ---


def test_it_shows_what_the_watcher_does(scanned: Library, run: Any) -> None:
    with watching(scanned, busy(last_look={str(scanned.photos): text_of(NOW)})):
        text, facts = run("status").out, status_of(run)
    assert f"watch (process {os.getpid()}): analysing photos\n" in text
    assert "4000 files to analyse, 800 done, 3 may still be written to; 4.2 a second, about 16 minutes left" in text
    assert "812 MB" in text
    assert re.search(rf"scanned  \d{{4}}-\d\d-\d\d \d\d:\d\d: {scanned.photos}\n", text)
    assert facts["live"]["n_waiting"] == 4000
    assert facts["runner"] == f"watch (process {os.getpid()})"


def test_an_idle_watcher_has_no_queue_to_show(scanned: Library, run: Any) -> None:
    with watching(scanned, Heartbeat(pid=os.getpid(), told_at=text_of(datetime.now(UTC)), doing="idle")):
        text = run("status").out
    assert ": idle\n" in text
    assert "queue" not in text


@pytest.mark.parametrize("rest", [Doing(Activity.PAUSED), Doing(Activity.OUTSIDE_HOURS, "22:00")])
def test_while_it_rests_files_just_wait(scanned: Library, run: Any, rest: Doing) -> None:
    nothing = {"n_waiting": 0, "n_done": 0, "photos_per_second": 0.0, "eta_seconds": None}
    resting = {"activity": rest.activity, "doing": rest.sentence, **nothing}
    with watching(scanned, busy(**resting, n_settling=129)):
        assert "queue  129 wait\n" in run("status").out
        told(scanned, busy(**resting, n_settling=1))
        assert "queue  1 waits\n" in run("status").out


def test_a_drive_that_was_mounted_in_a_library_is_shown_when_it_is_gone(scanned: Library, run: Any) -> None:
    sub = f"{scanned.photos}/usb"
    with watching(scanned, busy(offline={sub: "another drive was mounted there, and is not now"})):
        facts, text = status_of(run), run("status").out
        samples = parsed(run("status", "--prometheus").out)
    assert facts["offline"] == [sub]
    assert facts["photos"] == [str(scanned.photos)]
    assert f"offline: {sub}: another drive was mounted there, and is not now (nothing of it was removed)\n" in text
    assert value_of(samples, "library_online", root=sub) == 0
    assert value_of(samples, "library_online", root=str(scanned.photos)) == 1


def test_a_watcher_that_says_nothing_for_long_is_said_to(scanned: Library, run: Any) -> None:
    long_ago = text_of(NOW - timedelta(minutes=5))
    with watching(scanned, busy(told_at=long_ago)):
        text = run("status").out
        assert "says nothing since" in text
        assert "analysing photos" not in text
        told(scanned, busy(told_at=long_ago, silent_seconds=1800.0, doing="grouping"))
        assert ": grouping\n" in run("status").out


def test_what_a_watcher_said_that_is_gone_is_not_shown(scanned: Library, run: Any) -> None:
    # Its process number may belong to somebody else by now: that this process lives proves nothing.
    told(scanned, busy())
    assert status_of(run)["live"] is None
    assert "running  nothing" in run("status").out
    with watching(scanned, busy(pid=os.getpid() + 1)):
        assert status_of(run)["live"] is None


def test_a_library_that_the_watcher_calls_offline_is_although_its_folder_is_there(scanned: Library, run: Any) -> None:
    root = str(scanned.photos)
    with watching(scanned, busy(offline={root: "empty, but 6 files were there, since 12:00"})):
        facts, text = status_of(run), run("status").out
    assert facts["offline"] == [root]
    assert facts["offline_reasons"] == {root: "empty, but 6 files were there, since 12:00"}
    assert f"offline: {root}: empty, but 6 files were there, since 12:00 (nothing of it was removed)\n" in text
    assert status_of(run)["offline"] == []


def test_why_a_library_is_offline_is_said_once(scanned: Library, run: Any) -> None:
    root = scanned.photos
    for name in ("a.png", "b.png", "sub/c.png", "bad.jpg", "worse.jpg", "empty.jpg"):
        (root / name).unlink()
    with scanned.app() as app, pytest.raises(LibraryError) as emptied:
        app.libraries.scan(root)
    watched = Watched(root, Rules(()), watch_settings_of(load_config(None, {}, cwd=scanned.base)), time.monotonic)
    watched.lose(emptied.value, 0.0)
    with watching(scanned, busy(offline={str(root): watched.offline}, polled={str(root): "it is not there"})):
        lines = [line for line in run("status").out.splitlines() if line.startswith(("offline", "scanned again"))]
    assert lines == [
        f"offline: {root}: empty, but 6 files were there: is the drive plugged in? (nothing of it was removed)"
    ]


def test_a_library_on_a_dead_mount_is_offline(scanned: Library, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.stat

    def refuse(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if not isinstance(path, int) and os.fspath(path) == str(scanned.photos):
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN), path)
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", refuse)
    assert status_of(run)["offline"] == [str(scanned.photos)]
    assert f"offline: {scanned.photos}: cannot be read: {os.strerror(errno.ENOTCONN)}" in run("status").out


def test_of_very_many_folders_some_are_shown_and_the_rest_counted(scanned: Library, run: Any) -> None:
    root = str(scanned.photos)
    many = {f"{root}/{i:05}": "the kernel watches no more" for i in range(5000)}
    away = {f"/mnt/{i:02}": "cannot be read: Input/output error" for i in range(30)}
    looks = {f"/usb/{i:02}": text_of(NOW) for i in range(30)}
    with watching(scanned, busy(polled=many, offline=away, last_look=looks)):
        facts, text = status_of(run), run("status").out
        samples = parsed(run("status", "--prometheus").out)
        assert run("status", "--check").code == 0
    polled = [line for line in text.splitlines() if line.startswith("scanned again")]
    assert len(polled) == MOST_NAMED + 1
    assert polled[0] == f"scanned again and again: {root}/00000: the kernel watches no more"
    assert polled[-1] == "scanned again and again: ... and 4980 more"
    assert "       scanned  ... and 10 more\n" in text
    assert facts["live"]["polled"]["... and 4980 more"] == ""
    # What programs take for a library is one.
    assert facts["offline"] == list(away)[:MOST_NAMED]
    for name, label in (("polled", "path"), ("library_online", "root"), ("last_look_timestamp_seconds", "root")):
        found = [dict(sample.labels)[label] for sample in samples if sample.name == f"facewatch_{name}"]
        assert len(found) >= MOST_NAMED
        assert all(path.startswith("/") for path in found)


def test_it_says_why_something_is_polled(scanned: Library, run: Any) -> None:
    with watching(scanned, busy(polled={"/photos/nas": "nfs4 tells nothing"})):
        assert "scanned again and again: /photos/nas: nfs4 tells nothing\n" in run("status").out


def test_names_that_a_terminal_would_obey_are_harmless(scanned: Library, run: Any) -> None:
    odd = "/photos/\x1b[2J\nrunning  nothing\u202e" + os.fsdecode(b"\xff")
    with watching(scanned, busy(doing=odd, polled={odd: odd}, offline={odd: odd}, last_look={odd: "\x1b"})):
        text = run("status").out
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(re.findall(r"^ *running", text, re.MULTILINE)) == 1
        assert status_of(run)["live"]["doing"] == odd
        assert run("status", "--prometheus").code == 0
        assert run("status", "--check").code == 0


# --- for container health checks ---


def test_the_check_is_for_a_watcher_that_said_something_within_a_minute(scanned: Library, run: Any) -> None:
    def check() -> tuple[int, str]:
        answer = run("status", "--check")
        assert answer.out.count("\n") == 1
        return answer.code, answer.out

    assert check() == (1, f"nobody watches ({scanned.catalog})\n")
    with watching(scanned):
        code, text = check()
        assert code == 0
        assert text.startswith(f"watch (process {os.getpid()}): analysing photos (reported ")
        told(scanned, busy(told_at=text_of(NOW - timedelta(seconds=300))))
        code, text = check()
        assert code == 1
        assert "it says nothing since" in text
        told(scanned, busy(doing="paused"))
        assert check()[0] == 0
        HeartbeatFile(heartbeat_file_of(scanned.catalog)).remove()
        assert check()[0] == 1
    assert check()[0] == 1


@pytest.mark.parametrize(
    "content", ["[watch]\nsettle_seconds = -5\n[typo]\nx = 1\n", "no settings at all", "[library]\ncatalog = 3\n"]
)
def test_a_spoiled_settings_file_does_not_make_a_watcher_sick(scanned: Library, run: Any, content: str) -> None:
    settings = scanned.base / "settings.toml"
    settings.write_text(content)
    named = ("--config", str(settings))
    with watching(scanned):
        answer = run("status", "--check", *named)
        assert answer.code == 0
        assert answer.out.startswith(f"watch (process {os.getpid()}): analysing photos")
        assert str(settings) in answer.err
        assert answer.err.count("\n") == 1
        assert run("status", *named).code == 3
    assert run("status", "--check", *named).code == 1
    assert run("status", "--check", "--config", str(scanned.base / "absent.toml")).code == 1


def test_the_check_finds_the_catalog_that_spoiled_settings_name(
    scanned: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = scanned.base / "settings.toml"
    settings.write_text(f"[library]\ncatalog = {json.dumps(str(scanned.catalog))}\n[watch]\nsettle_seconds = -5\n")
    with watching(scanned):
        assert main(["status", "--check", "--config", str(settings)]) == 0
        settings.write_text("no settings at all")
        # Then the default it is, where nobody watches.
        capsys.readouterr()
        assert main(["status", "--check", "--config", str(settings)]) == 1
    assert "nobody watches" in capsys.readouterr().out


def test_a_scan_by_hand_is_no_watcher(scanned: Library, run: Any) -> None:
    with scanned.app() as app, app.pipeline.running("scan"):
        told(scanned, busy())
        assert run("status", "--check").code == 1


def test_before_the_first_scan_nobody_watches_and_nothing_is_made(library: Library, run: Any) -> None:
    answer = run("status", "--check")
    assert answer.code == 1
    assert "nobody watches" in answer.out
    assert [path.name for path in library.base.iterdir()] == ["Photos"]


# --- files that could not be used ---


def test_faults_are_told_by_their_cause(scanned: Library, run: Any) -> None:
    facts, text = status_of(run), run("status").out
    assert len(facts["faults"]) == 3
    assert [group["n_files"] for group in facts["fault_groups"]] == [2, 1]
    [bad, empty] = facts["fault_groups"]
    assert bad["examples"] == [str(scanned.photos / "bad.jpg"), str(scanned.photos / "worse.jpg")]
    assert empty["cause"] == "empty file"
    assert f"     2  {bad['cause']}: {bad['advice']}\n        {scanned.photos}/bad.jpg\n" in text
    assert "3 files could not be used" in text


def test_on_request_every_file_is_listed(scanned: Library, run: Any) -> None:
    for i in range(N_EXAMPLES + 2):
        (scanned.photos / f"none{i}.jpg").write_bytes(b"also none %d" % i)
    scanned.scan()
    last = f"none{N_EXAMPLES + 1}.jpg"
    assert last not in run("status").out
    assert "and 4 more" in run("status").out
    assert last in run("status", "--all").out
    assert [str(scanned.photos / last)] == [f["path"] for f in status_of(run)["faults"] if last in f["path"]]


@pytest.mark.parametrize(
    ("fault", "text", "cause"),
    [
        (Fault.of(FaultCode.TRUNCATED, "JPEG"), "truncated JPEG", "truncated JPEG"),
        (
            Fault.of(FaultCode.DAMAGED, "PNG", reason="broken data stream (IDAT) at 12"),
            "damaged PNG (broken data stream (IDAT) at 12)",
            "damaged PNG",
        ),
        (
            Fault.of(FaultCode.TOO_MANY_PIXELS, width=90000, height=90000, n_pixels="8100 MP", cap="256 MP"),
            "too many pixels: 90000 x 90000 is 8100 MP, the cap is 256 MP",
            "too many pixels",
        ),
        (
            Fault.of(FaultCode.UNREADABLE, reason="Permission denied"),
            "cannot be read: Permission denied",
            "cannot be read",
        ),
        (
            Fault.of(FaultCode.DETECTOR_FAILED, reason="bad (very) {thing}"),
            "the detector failed on it: bad (very) {thing}",
            "the detector failed on it",
        ),
        (Fault.of(FaultCode.OTHER, "(nothing but a detail)"), "(nothing but a detail)", "(nothing but a detail)"),
        (
            Fault.of(FaultCode.NO_EMBEDDING, "x", reason=" (not a number)"),
            "x gave no usable embedding (not a number)",
            "x gave no usable embedding",
        ),
    ],
)
def test_a_cause_is_the_fault_without_what_differs_from_file_to_file(fault: Fault, text: str, cause: str) -> None:
    assert (fault.text, fault.cause) == (text, cause)


@given(
    st.lists(
        st.builds(
            FaultyFile,
            st.text(max_size=5),
            st.builds(
                Fault,
                st.sampled_from([FaultCode.DAMAGED, FaultCode.TRUNCATED, FaultCode.OTHER]),
                st.sampled_from(["a (1)", "a (2)", "b: c", "b", "d"]),
                st.sampled_from("xy"),
                st.sampled_from(["JPEG", "PNG"]),
            ),
        )
    )
)
def test_every_fault_is_in_one_group(faults: list[FaultyFile]) -> None:
    groups = grouped_by_cause(faults)
    assert sum(group.n_files for group in groups) == len(faults)
    assert len({group.cause for group in groups}) == len(groups)
    assert [group.n_files for group in groups] == sorted((group.n_files for group in groups), reverse=True)
    paths = {fault.path for fault in faults}
    for group in groups:
        assert 1 <= len(group.examples) == min(N_EXAMPLES, group.n_files)
        assert set(group.examples) <= paths


# --- people ---


def test_people_count_while_the_library_holds_photos_of_them(scanned: Library, run: Any) -> None:
    def counted() -> tuple[int, int]:
        facts = status_of(run)
        return facts["n_people"], facts["n_named"]

    assert counted() == (2, 0)
    run("rename", "1", "Anna")
    run("rename", "2", "Ben")
    assert counted() == (2, 2)
    with scanned.app() as app:
        everybody = [person for person in app.catalog.people.all() if person.n_photos]
        assert len(everybody) == 2
    # Her only photos go; the person stays, with nothing to show.
    for name in ("a.png", "b.png"):
        (scanned.photos / name).unlink()
    scanned.scan()
    assert counted() == (1, 1)
    assert run("merge", "2", "1").code == 0
    assert counted() == (1, 1)


# --- backups ---


def test_the_newest_backup_is_told(scanned: Library, run: Any, tmp_path: Path) -> None:
    assert status_of(run)["last_backup"] is None
    folder = scanned.catalog.with_name("catalog.sqlite.backups")
    folder.mkdir()
    for day, name in ((2, "catalog-2026-11-20.sqlite"), (1, "catalog-2026-11-21.sqlite"), (0, "notes.txt")):
        (folder / name).touch()
        written = (NOW - timedelta(days=day)).timestamp()
        os.utime(folder / name, (written, written))
    facts = status_of(run)
    assert facts["last_backup"] == text_of(NOW - timedelta(days=1))
    assert facts["backup_file"] == str(folder / "catalog-2026-11-21.sqlite")
    assert re.search(r"last backup  \d{4}-.*catalog-2026-11-21\.sqlite\n", run("status").out)

    settings = tmp_path / "facewatch.toml"
    settings.write_text(f'[library]\nphotos = "{scanned.photos}"\n[backup]\nfolder = "{tmp_path / "elsewhere"}"\n')
    assert status_of(run, "--config", str(settings))["last_backup"] is None


# --- its forms ---


def test_the_keys_of_the_json_are_a_promise(scanned: Library, run: Any) -> None:
    promised = (
        "settings catalog people_folder photos engine engine_fault engine_runtime switch aligned runner "
        "n_files n_photos n_faces n_assigned n_pool n_only_shown n_left_out n_people n_named last_scan offline faults "
        "live paused fault_groups last_backup"
    )
    of_live = (
        "pid started_at told_at silent_seconds activity doing n_settling n_waiting n_done photos_per_second "
        "eta_seconds last_look polled offline n_more memory_mb"
    )
    facts = status_of(run)
    assert set(promised.split()) <= set(facts)
    assert all(set(fault) == {"path", "fault", "advice"} for fault in facts["faults"])
    with watching(scanned):
        assert set(status_of(run)["live"]) == set(of_live.split())


def test_what_runs_a_recogniser_is_shown(scanned: Library, run: Any, tmp_path: Path) -> None:
    save_detector(tmp_path / "pack/det.onnx")
    save_recogniser(tmp_path / "pack/rec.onnx")
    settings = tmp_path / "facewatch.toml"
    text = f'[engine]\nname = "insightface:{tmp_path / "pack"}"\nruntime = "onnxruntime"\n'
    settings.write_text(text)
    assert status_of(run, "--config", str(settings))["engine_runtime"].startswith("onnxruntime ")
    assert re.search(r" runtime  onnxruntime \S+, f32\n", run("status", "--config", str(settings)).out)

    settings.write_text(text.replace('"onnxruntime"', '"openvino"') + 'device = "cuda"\n')
    facts = status_of(run, "--config", str(settings))
    assert facts["engine_runtime"] is None
    assert "it runs on the CPU only" in facts["engine_fault"]


def test_standard_mode_has_no_choice_of_runtimes(scanned: Library, run: Any) -> None:
    assert status_of(run)["engine_runtime"] is None
    assert "runtime" not in run("status").out


@pytest.mark.parametrize("pair", [*itertools.combinations(("--watch", "--prometheus", "--check", "--json"), 2)])
def test_it_is_shown_in_one_way_at_a_time(scanned: Library, run: Any, pair: tuple[str, str]) -> None:
    answer = run("status", *pair)
    assert answer.code == 2
    assert f"{pair[0]} and {pair[1]}" in answer.err
    assert answer.out == ""


def test_watching_needs_a_terminal(scanned: Library, run: Any) -> None:
    answer = run("status", "--watch")
    assert answer.code == 2
    assert "--watch needs a terminal" in answer.err


# --- in nobody's way ---


def test_it_writes_nothing(scanned: Library, run: Any) -> None:
    def everything() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(scanned.base.rglob("*")) if p.is_file() and not p.is_symlink()}

    before = everything()
    for options in ([], ["--json"], ["--prometheus"], ["--check"], ["--all"]):
        run("status", *options)
    assert everything() == before


def test_a_writer_in_the_middle_of_its_work_does_not_hold_it_up(scanned: Library, run: Any) -> None:
    with watching(scanned) as app, app.catalog.write():
        app.catalog.settings.set("anything", "else")
        started = time.monotonic()
        assert status_of(run)["n_photos"] == 3
        # A lock would be waited for 30 seconds.
        assert time.monotonic() - started < 10


def test_it_does_not_hold_up_a_writer_while_it_watches(scanned: Library) -> None:
    with scanned.app() as reader, scanned.app() as writer:
        current = _renewing(reader)
        for i in range(3):
            current()
            with writer.catalog.write():
                writer.catalog.settings.set("n", str(i))
            # Nothing is left in the journal because of a reader that is in the middle of something.
            assert writer.catalog._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


def test_it_loads_no_model(scanned: Library) -> None:
    script = (
        "import sys; from facewatch.cli import main; code = main(sys.argv[1:]);"
        "print(code, sorted({'dlib', 'onnxruntime', 'insightface', 'cv2', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    options = ["--catalog", str(scanned.catalog), "--people", str(scanned.people)]
    for form in ([], ["--prometheus"], ["--check"]):
        answer = subprocess.run(
            [sys.executable, "-P", "-c", script, "status", *form, *options], capture_output=True, text=True, check=True
        )
        assert answer.stdout.splitlines()[-1] in ("0 []", "1 []")


def test_while_watching_it_counts_only_what_has_changed_and_not_too_often(scanned: Library) -> None:
    now = 0.0

    def clock() -> float:
        return now

    with scanned.app() as app, scanned.app() as other:
        counted: list[int] = []
        count = app.catalog.faces.counts

        class Counting:
            """The faces, counting who counts them; the count takes a second."""

            def counts(self) -> dict[str, int]:
                nonlocal now
                now += 1.0
                counted.append(1)
                return count()

        app.catalog.faces = Counting()  # type: ignore[assignment]
        current = _renewing(app, clock)
        for _ in range(30):
            current()
            now += 1.0
        assert len(counted) == 1
        with other.corrections.deciding() as decisions:
            decisions.rename("1", "Anna")
        assert current().counts.n_named == 1
        assert len(counted) == 2
        with other.corrections.deciding() as decisions:
            decisions.rename("2", "Ben")
        assert current().counts.n_named == 1
        now += 20.0
        assert current().counts.n_named == 2
        pause(other.catalog)
        assert current().health.paused is not None


# --- a terminal ---


def status_at_terminal(library: Library) -> AbstractContextManager[Session]:
    return terminals.session(library, "status", "--watch", columns=140)


def test_at_a_terminal_it_follows_the_watcher_until_ctrl_c(scanned: Library) -> None:
    with watching(scanned), status_at_terminal(scanned) as session:
        session.expect("4000 files to analyse")
        told(scanned, busy(n_waiting=3999))
        session.expect("3999 files to analyse")
        session.press("\x03")
        rest = session.rest()
        assert session.end() == 0
    assert "Traceback" not in rest
    # The cursor is visible again.
    assert "\x1b[?25h" in rest


def test_a_watcher_that_ends_meanwhile_is_seen(scanned: Library) -> None:
    with status_at_terminal(scanned) as session:
        session.expect("nobody")
        with watching(scanned):
            session.expect("analysing photos")
        session.expect("nobody")
        session.process.send_signal(signal.SIGINT)
        assert session.end() == 0


# --- metrics ---


class Sample(NamedTuple):
    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parsed(text: str) -> list[Sample]:
    """Read the text format as strictly as it is written down: HELP and TYPE once and first, samples together, none
    twice, labels escaped, no other line."""
    assert text.endswith("\n")
    samples: list[Sample] = []
    seen: dict[str, str] = {}
    for line in text[:-1].split("\n"):
        if (about := re.fullmatch(r"# HELP (\S+) ([^\n]+)", line)) is not None:
            assert about[1] not in seen
            seen[about[1]] = ""
        elif (about := re.fullmatch(r"# TYPE (\S+) (gauge|counter)", line)) is not None:
            assert [*seen][-1] == about[1]
            assert seen[about[1]] == ""
            seen[about[1]] = about[2]
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            name, inside, value = match.groups()
            assert [*seen][-1] == name
            assert seen[name]
            samples.append(Sample(name, tuple(_labels(inside or "")), float(value)))
    assert len({sample[:2] for sample in samples}) == len(samples)
    assert {sample.name for sample in samples} == set(seen)
    return samples


def _labels(inside: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(inside):
        match = _LABEL.match(inside, at)
        assert match, inside
        yield match[1], re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match[2])
        at = match.end()


def value_of(samples: list[Sample], name: str, **labels: str) -> float:
    [value] = [s.value for s in samples if s.name == f"facewatch_{name}" and dict(s.labels) == labels]
    return value


def test_metrics_say_what_the_json_says(scanned: Library, run: Any) -> None:
    root = str(scanned.photos)
    with watching(scanned, busy(last_look={root: "2026-11-22T12:00:00Z"}, polled={root: "nfs4"})):
        facts, samples = status_of(run), parsed(run("status", "--prometheus").out)
    assert value_of(samples, "up") == 1
    assert value_of(samples, "paused") == 0
    assert value_of(samples, "photos") == facts["n_photos"] == 3
    assert value_of(samples, "faces", state="pool") == facts["n_pool"]
    assert value_of(samples, "people", named="false") == facts["n_people"]
    assert value_of(samples, "faulty_files", cause="empty file") == 1
    assert value_of(samples, "queue", state="waiting") == 4000
    assert value_of(samples, "photos_per_second") == 4.2
    assert value_of(samples, "memory_bytes") == 812.4e6
    assert value_of(samples, "library_online", root=root) == 1
    assert value_of(samples, "polled", path=root) == 1
    assert value_of(samples, "last_look_timestamp_seconds", root=root) == 1795348800
    assert value_of(samples, "last_scan_timestamp_seconds") == pytest.approx(time.time(), abs=600)


def test_the_moment_of_the_last_scan_is_what_its_help_says(scanned: Library, run: Any) -> None:
    def last_scan() -> float:
        text = run("status", "--prometheus").out
        assert (
            "# HELP facewatch_last_scan_timestamp_seconds "
            "When the latest scan or watcher ended; while it has not, when it began.\n" in text
        )
        return value_of(parsed(text), "last_scan_timestamp_seconds")

    with watching(scanned) as app:
        run_of_it = app.catalog.runs.last("watch")
        assert run_of_it is not None
        began_at = datetime.fromisoformat(run_of_it["started_at"]).timestamp()
        assert run_of_it["ended_at"] is None
        assert last_scan() == began_at
    assert last_scan() >= began_at


def test_metrics_of_nobody_at_work_say_so(scanned: Library, run: Any) -> None:
    scanned.photos.rename(scanned.base / "unplugged")
    assert f"offline: {scanned.photos}: not there; plug it in, or name its new place: " in run("status").out
    run("pause")
    samples = parsed(run("status", "--prometheus").out)
    assert value_of(samples, "up") == 0
    assert value_of(samples, "paused") == 1
    assert value_of(samples, "library_online", root=str(scanned.photos)) == 0
    assert not [sample for sample in samples if sample.name in ("facewatch_queue", "facewatch_memory_bytes")]


def test_a_watcher_that_hangs_is_not_up(scanned: Library, run: Any) -> None:
    with watching(scanned, busy(told_at=text_of(NOW - timedelta(minutes=5)))):
        assert value_of(parsed(run("status", "--prometheus").out), "up") == 0


def test_a_change_of_engine_is_a_metric(scanned: Library) -> None:
    with scanned.app() as app:
        status = app.status()
        switch = SwitchProgress("old", "new", 30, 100)
        status = replace(status, engine=replace(status.engine, switch=switch))
    samples = parsed(exposition(status, NOW))
    assert value_of(samples, "engine_switch_photos", before="old", wanted="new", state="looked_at") == 30
    assert value_of(samples, "engine_switch_photos", before="old", wanted="new", state="waiting") == 70


def test_names_that_look_alike_once_they_are_text_are_one_sample() -> None:
    one, other = os.fsdecode(b"/photos/\xff"), os.fsdecode(b"/photos/\xfe")
    assert value_of(
        parsed(exposition(replace(EMPTY, paths=replace(EMPTY.paths, photos=[one, other])), NOW)),
        "library_online",
        root="/photos/\ufffd",
    )


names = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)


@given(
    roots=st.lists(names, max_size=4),
    causes=st.lists(names, max_size=4, unique=True),
    moment=st.one_of(names, st.just("2026-11-22T12:00:00Z")),
    rate=st.floats(0, 1e9),
)
def test_no_name_whatever_breaks_the_metrics(roots: list[str], causes: list[str], moment: str, rate: float) -> None:
    live = Heartbeat(
        told_at=moment,
        backlog=Backlog(photos_per_second=rate),
        libraries=WatchedLibraries(last_look=dict.fromkeys(roots, moment), polled=dict.fromkeys(roots, moment)),
    )
    status = replace(
        EMPTY,
        paths=replace(EMPTY.paths, photos=roots),
        health=Health(live=live),
        last_scan=moment,
        fault_groups=tuple(FaultGroup(cause, "", 1, []) for cause in causes),
    )
    text = exposition(status, NOW)
    text.encode()
    shown = {"".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= c <= "\udfff" else c for c in root) for root in roots}
    assert {dict(s.labels)["root"] for s in parsed(text) if s.name == "facewatch_library_online"} == shown


EMPTY = Status(
    paths=StatusPaths(settings="", catalog="", people_folder="", links="symlink", photos=[], aligned=[]),
    engine=EngineStatus(in_use="", fault=None, switch=None),
    counts=Counts(**dict.fromkeys((one.name for one in fields(Counts)), 0)),
    last_scan=None,
)


# --- pause and resume ---


def test_a_pause_outlives_the_process_and_is_shown(scanned: Library, run: Any) -> None:
    answer = run("pause")
    assert answer.code == 0
    assert answer.out.startswith("paused, since ")
    assert "naming and correcting go on" in answer.out
    with scanned.app() as app:
        since = paused_since(app.catalog)
    assert since is not None
    assert status_of(run)["paused"] == since
    assert re.search(r"paused  since .*: no new photos are analysed until `facewatch resume`\n", run("status").out)

    assert run("resume").out.startswith("resumed: it was paused since ")
    assert status_of(run)["paused"] is None
    assert "paused" not in run("status").out


def test_pausing_or_resuming_twice_says_so_and_is_no_error(scanned: Library, run: Any) -> None:
    first = json.loads(run("pause", "--json").out)
    again = run("pause")
    assert again.code == 0
    assert again.out.startswith("paused already, since ")
    assert json.loads(run("pause", "--json").out) == first | {"was_paused": True}
    assert json.loads(run("resume", "--json").out) == {
        "since": first["since"],
        "is_paused": False,
        "was_paused": True,
    }
    answer = run("resume")
    assert (answer.code, answer.out) == (0, "was not paused\n")
    assert json.loads(run("resume", "--json").out) == {"since": None, "is_paused": False, "was_paused": False}


def test_since_when_it_is_paused_is_since_the_first_time(library: Library) -> None:
    moments = iter(("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"))
    with library.app() as app:
        app.catalog.now = lambda: next(moments)
        assert pause(app.catalog).since == "2026-01-01T00:00:00Z"
        assert pause(app.catalog).since == "2026-01-01T00:00:00Z"
        assert resume(app.catalog).since == "2026-01-01T00:00:00Z"
        assert pause(app.catalog).since == "2026-01-02T00:00:00Z"


def test_resuming_says_when_nobody_is_there_to_go_on(scanned: Library, run: Any) -> None:
    run("pause")
    assert "nobody watches now: facewatch watch" in run("resume").out
    run("pause")
    with watching(scanned):
        assert "what came meanwhile is analysed now" in run("resume").out


def test_a_quiet_pause_says_nothing(scanned: Library, run: Any) -> None:
    assert run("pause", "-q") == (0, "", "")
    assert run("resume", "-q") == (0, "", "")


def test_pausing_needs_a_catalog_and_makes_none(library: Library, run: Any) -> None:
    for name in ("pause", "resume"):
        answer = run(name)
        assert answer.code == 5
        assert "no catalog yet" in answer.err
    assert [path.name for path in library.base.iterdir()] == ["Photos"]


def test_the_status_can_be_written_as_json_whatever_it_holds(scanned: Library) -> None:
    with scanned.app() as app, app.pipeline.running("scan"):
        live = busy()
        told(scanned, live)
        assert json.loads(json.dumps(status_row(app.status())))["live"] == live.as_json()


def test_status_says_how_much_room_there_is_and_which_versions_it_has(library: Library, run: Any) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    row = json.loads(run("status", "--json").out)
    [catalog] = row["disks"]
    assert (catalog["what"], catalog["path"]) == ("catalog", str(library.catalog.parent))
    assert catalog["n_bytes"] >= library.catalog.stat().st_size
    assert catalog["free_bytes"] > 0
    assert row["versions"]["facewatch"] == __version__
    with library.app() as app:
        Backups(app.catalog.path).daily(datetime(2026, 11, 29, 12, tzinfo=UTC))
    backups = json.loads(run("status", "--json").out)["disks"][1]
    assert backups["what"] == "backups"
    assert backups["n_bytes"] > 100_000


def test_it_says_so_where_not_all_faces_were_compared_with_each_other(scanned: Library, run: Any) -> None:
    assert "neighbours" not in run("status").out
    with scanned.app() as app, app.catalog.write():
        app.catalog.settings.set(GRAPH_RECALL, "0.9934")
    assert "99.3 % of the near ones known" in run("status").out
    assert json.loads(run("status", "--json").out)["graph_recall"] == 0.9934
