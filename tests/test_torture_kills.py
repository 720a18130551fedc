"""Killed at any instant, with a disk that fails at any write: all that was decided is there, and it carries on."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torture_kills
from drawn import Library
from torture_child import NOW, SCENARIOS
from torture_kills import Blow, Children, compile_shim, fault_trials, kill_trials, why_no_shim

from facewatch.app import restore_backup
from facewatch.catalog import Catalog
from facewatch.catalog import restore as restoring
from facewatch.catalog.backup import write_backup
from facewatch.errors import CatalogError, DiskFaultError, DiskFullError
from facewatch.folders.apply import apply
from facewatch.folders.disk import make_link
from facewatch.folders.model import (
    MARKER,
    LinkKind,
    MakeFolder,
    MakeLink,
    MoveFolder,
    MoveLink,
    Plan,
    RemoveFolder,
    RemoveLink,
)
from facewatch.folders.recovery import intents_of, resume
from facewatch.fs.locks import file_lock, holder


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes disks fail; without a compiler the tests that need it are skipped, but not where it is promised."""
    if why := why_no_shim():
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    made = compile_shim(tmp_path_factory.mktemp("shim"))
    assert made is not None
    return made


def run_python(shim: Path, folder: Path, code: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    environment = {f"TORTURE_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LD_PRELOAD": str(shim), "TORTURE_BELOW": str(folder), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
    )


# --- the instrument ---

WRITES = """
import os
for i in range(4):
    try:
        with open(f"{i}.txt", "wb", buffering=0) as file:
            print(file.write(b"0123456789"), flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"""


def test_calls_that_change_the_disk_are_counted(shim: Path, tmp_path: Path) -> None:
    below, beside = tmp_path / "below", tmp_path / "beside"
    below.mkdir()
    beside.mkdir()
    code = """
import os, sqlite3
os.mkdir("folder"); os.symlink("nowhere", "link"); os.rename("link", "other"); os.unlink("other"); os.rmdir("folder")
open("a", "w").close(); os.open("a", os.O_RDONLY); os.stat("a"); os.listdir(".")
"""
    assert run_python(shim, below, code, count=tmp_path / "count").returncode == 0
    assert (tmp_path / "count").read_text() == "6 in all\n"
    assert run_python(shim, beside, code, count=tmp_path / "other", below=below).returncode == 0
    assert (tmp_path / "other").read_text() == "0 in all\n"


def test_what_lies_in_the_folder_that_is_left_out_is_not_counted(shim: Path, tmp_path: Path) -> None:
    (tmp_path / "Photos").mkdir()
    run_python(shim, tmp_path, "open('Photos/a', 'w').close()", count="/dev/stdout", but=tmp_path / "Photos")
    done = run_python(shim, tmp_path, "open('Photos/a', 'w').close()", count="/dev/stdout", but=tmp_path / "Photos")
    assert done.stdout == "0 in all\n"


@pytest.mark.parametrize(("do", "left"), [("kill-before", b""), ("kill-half", b"01234"), ("kill-after", b"0123456789")])
def test_a_kill_comes_before_amid_or_after_the_call(shim: Path, tmp_path: Path, do: str, left: bytes) -> None:
    done = run_python(shim, tmp_path, WRITES, do=do, at=2)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "0.txt").read_bytes() == left
    assert not (tmp_path / "1.txt").exists()


def test_the_first_call_can_be_hit(shim: Path, tmp_path: Path) -> None:
    assert run_python(shim, tmp_path, WRITES, do="kill-before", at=1).returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("do", "code"), [("enospc", errno.ENOSPC), ("eio", errno.EIO)])
def test_a_disk_fails_for_a_while_and_a_write_is_cut_short_first(
    shim: Path, tmp_path: Path, do: str, code: int
) -> None:
    done = run_python(shim, tmp_path, WRITES, do=do, at=4, lasts=2)
    assert done.stdout.split() == ["10", "5", str(code), "10"]


def test_giving_room_back_needs_none(shim: Path, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    done = run_python(shim, tmp_path, "import os; os.unlink('a'); os.mkdir('b')", do="enospc", at=1, lasts=9)
    assert "No space left" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_only_the_process_itself_counts(shim: Path, tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\"a\", \"w\")']); open('b', 'w')"
    code = code.replace("subprocess.run(", "subprocess.run(env={'PATH': '/usr/bin'}, args=")
    assert run_python(shim, tmp_path, code, do="kill-before", at=1).returncode == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


# --- the trials ---


@pytest.fixture(scope="module")
def kills(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> torture_kills.Result:
    return kill_trials(tmp_path_factory.mktemp("kills"), len(SCENARIOS), 4)


def test_a_kill_at_any_instant_loses_nothing_and_needs_no_repair(kills: torture_kills.Result) -> None:
    assert kills.faults == []
    assert (kills.n_lost_decisions, kills.n_wrong_removals, kills.n_repairs) == (0, 0, 0)


def test_processes_are_really_killed_in_all_that_facewatch_does(kills: torture_kills.Result) -> None:
    assert kills.by_scenario == dict.fromkeys(SCENARIOS, 1)
    assert kills.n_hit > kills.n / 2
    assert kills.n_twice > 0


def test_a_disk_that_is_full_or_fails_loses_nothing_and_needs_no_repair(shim: Path, tmp_path: Path) -> None:
    done = fault_trials(tmp_path, 6, 4, only=["scan", "folders", "switch", "watch", "backup", "restore"])
    assert done.faults == []
    assert done.n_hit > 3


def test_without_a_compiler_kills_come_at_random_times_and_disks_do_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert kill_trials(tmp_path, 2, 1, only=["scan"]).faults == []
    done = fault_trials(tmp_path, 2, 1)
    assert (done.n, done.skipped) == (0, "needs Linux and cc")


@pytest.mark.parametrize("name", ["scan", "folders"])
def test_trials_notice_what_is_lost(shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Somebody else spoils the library after the kill: what the checks are for."""
    do = Children.do

    def spoil(self: Children, doing: str, scenario: str, base: Path, blow: Blow | None = None) -> torture_kills.Ended:
        ended = do(self, doing, scenario, base, blow)
        if blow is not None and blow.kind != "eio" and blow.at:
            with Catalog(base / "data" / "catalog.sqlite") as catalog, catalog.write():
                catalog._db.execute("DELETE FROM rejections")
                catalog._db.execute("DELETE FROM journal")
            (base / "Photos" / "anna2.png").unlink(missing_ok=True)
        return ended

    monkeypatch.setattr(Children, "do", spoil)
    monkeypatch.setattr(torture_kills, "KILLS", ("kill-before",))
    done = kill_trials(tmp_path, 1, 5, lambda _: None, only=[name])
    assert done.n_lost_decisions > 0
    assert done.n_wrong_removals > 0
    assert done.n_repairs > 0


# --- what they found ---


def test_a_lock_is_held_though_its_holder_cannot_be_noted(tmp_path: Path) -> None:
    """The disk takes not one byte more."""
    path = tmp_path / "a.lock"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with file_lock(path, wait_seconds=0, purpose="scan"):
            assert str(holder(path)) == "another facewatch process"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert holder(path) is None


@pytest.mark.parametrize(
    ("do", "kind"), [("enospc", DiskFullError), ("eio", DiskFaultError)], ids=["full disk", "broken disk"]
)
def test_a_lock_that_the_disk_refuses_is_waited_for(
    shim: Path, tmp_path: Path, do: str, kind: type[CatalogError]
) -> None:
    code = """
from pathlib import Path
from facewatch.fs.locks import file_lock
try:
    with file_lock(Path("a.lock"), wait_seconds=0, purpose="scan"): pass
except Exception as error:
    print(type(error).__name__)
"""
    assert run_python(shim, tmp_path, code, do=do, at=1).stdout.strip() == kind.__name__


def test_a_copy_that_cannot_be_removed_hides_no_fault(library: Library) -> None:
    library.draw("anna.png", (1, 1))
    library.scan()
    backup = library.base / "backup.sqlite"
    write_backup(library.catalog, backup)

    def restore() -> None:
        with restoring.staged(backup, library.catalog) as copy:
            copy.unlink()
            copy.mkdir()
            raise DiskFullError("no room")

    with pytest.raises(DiskFullError, match="no room"):
        restore()


class CutOffError(BaseException):
    """The process ends here."""


def cut_off(*_: object) -> None:
    raise CutOffError


@pytest.fixture
def half_synced(library: Library) -> Library:
    """A library whose links are there and not on record: the sync that made them was cut off just then."""
    library.draw_looks(1, 3, "anna")
    with library.app() as app:
        app.catalog.links.add = cut_off  # type: ignore[method-assign, assignment]
        with pytest.raises(CutOffError):
            app.pipeline.scan()
    assert len(library.tree()) == 3
    return library


def test_links_of_a_sync_that_was_cut_off_go_when_nobody_wants_them_any_more(half_synced: Library) -> None:
    with half_synced.app() as app, app.corrections.deciding() as decisions:
        decisions.hide("1")
    assert half_synced.tree() == {}
    assert sorted(path.name for path in half_synced.people.iterdir()) == [".facewatch"]


def test_a_sync_that_was_cut_off_leads_to_the_same_end(half_synced: Library) -> None:
    half_synced.scan()
    assert half_synced.groups() == [{"anna0.png", "anna1.png", "anna2.png"}]
    with half_synced.app() as app:
        assert app.folder.plan().is_empty
        assert app.catalog.faults() == []


def test_a_folder_whose_move_was_cut_off_follows_the_next_name(library: Library) -> None:
    library.draw("anna0.png", (1, 0))
    library.draw("anna1.png", (1, 1))
    library.scan()
    with library.app() as app:
        app.corrections.rename("1", "Anna")
        app.catalog.links.move = cut_off  # type: ignore[method-assign, assignment]
        with pytest.raises(CutOffError):
            app.corrections.rename("Anna", "Anne")
    assert sorted(library.tree()) == ["Anne/anna0.png", "Anne/anna1.png"]
    with library.app() as app:
        app.corrections.rename("Anne", "Zoë")
    assert sorted(library.tree()) == ["Zoë/anna0.png", "Zoë/anna1.png"]
    assert sorted(path.name for path in library.people.iterdir()) == [".facewatch", "Zoë"]


def test_a_restore_that_the_disk_fails_is_given_up_before_anything_is_forgotten(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is recorded of the people folder would be lost if the backup were restored without it."""
    library.draw("anna0.png", (1, 0))
    library.draw("anna1.png", (1, 1))
    library.scan()
    backup = library.base / "backup.sqlite"
    write_backup(library.catalog, backup)
    with library.app() as app:
        app.corrections.rename("1", "Anna")
        config = app.config

    def fail(*_: object) -> bool:
        raise DiskFaultError("the disk failed")

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "carry_over", fail)
        with pytest.raises(DiskFaultError, match="the disk failed"):
            restore_backup(config, backup, now=NOW)
    with library.app() as app:
        assert app.catalog.people.names() == {1: "Anna"}
        assert app.folder.plan().is_empty


class NotingLedger:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def link_made(self, person_id: int, photo_id: int, path: str, source: str, stamp: str) -> None:
        self.told.append(("link", person_id, photo_id, path, stamp))

    def folder_made(self, person_id: int, path: str) -> None:
        self.told.append(("folder", person_id, path))

    def folder_moved(self, person_id: int, old: str, new: str) -> None:
        self.told.append(("move", person_id, old, new))

    def link_removed(self, link_id: int) -> None:
        self.told.append(("removed", link_id))

    def folder_removed(self, path: str) -> None: ...

    def commit(self) -> None: ...


@pytest.fixture
def people(tmp_path: Path) -> Path:
    people = tmp_path / "People"
    people.mkdir()
    (people / MARKER).write_text("{}")
    (tmp_path / "a.jpg").write_bytes(b"photo")
    return people


TO_DO = (
    MoveFolder(1, "Anne", "Anna"),
    MakeFolder(2, "Ben"),
    MakeLink(2, 5, "Ben/a.jpg", "/photos/a.jpg", "../../a.jpg"),
    MakeLink(2, 6, "Ben/b.jpg", "/photos/b.jpg", "../../b.jpg"),
    MakeLink(2, 8, "Ben/c.jpg", "/photos/c.jpg", "../../c.jpg", is_done=True),
)
BEN_IS_MADE = ("folder", 2, "Ben")
ANNE_IS_MOVED = ("move", 1, "Anne", "Anna")


def resumed(people: Path, known: dict[int, str], *, kind: LinkKind = "symlink", **actions: Any) -> list[Any]:
    ledger = NotingLedger()
    assert resume(intents_of(actions.get("actions", TO_DO), kind), people, known, ledger)
    return ledger.told


def test_what_a_crash_cut_off_is_recorded_as_far_as_it_was_done(people: Path) -> None:
    assert resumed(people, {1: "Anne"}) == []
    (people / "Anna").mkdir()
    assert resumed(people, {1: "Anne"}) == [ANNE_IS_MOVED]
    (people / "Ben").mkdir()
    assert resumed(people, {1: "Anne"}) == [ANNE_IS_MOVED, BEN_IS_MADE]
    (people / "Ben" / "a.jpg").symlink_to("../../a.jpg")
    (people / "Ben" / "c.jpg").symlink_to("../../c.jpg")
    told = [ANNE_IS_MOVED, BEN_IS_MADE, ("link", 2, 5, "Ben/a.jpg", "symlink:../../a.jpg")]
    assert resumed(people, {1: "Anne"}) == told
    assert resumed(people, {1: "Anna", 2: "Ben"}) == told[2:]


def test_what_others_made_meanwhile_is_not_taken_for_ours(people: Path) -> None:
    for folder in ("Anne", "Anna", "Ben"):
        (people / folder).mkdir()
    (people / "Ben" / "a.jpg").symlink_to("elsewhere")
    (people / "Ben" / "b.jpg").write_bytes(b"photo")
    assert resumed(people, {1: "Anne", 3: "Ben"}) == []


@pytest.mark.parametrize("kind", ["copy", "hardlink"])
def test_copies_and_hard_links_are_known_by_their_photos(people: Path, kind: LinkKind) -> None:
    photo = people.parent / "a.jpg"
    (people / "Ben").mkdir()
    make = MakeLink(2, 5, "Ben/a.jpg", os.fspath(photo), os.fspath(photo))
    (people / "Ben" / "a.jpg").write_bytes(b"another")
    assert resumed(people, {2: "Ben"}, kind=kind, actions=[make]) == []
    (people / "Ben" / "a.jpg").unlink()
    make_link("hardlink", "a.jpg", "a.jpg", target_fd=_folder(people.parent), dir_fd=_folder(people / "Ben"))
    [told] = resumed(people, {2: "Ben"}, kind=kind, actions=[make])
    assert told[:4] == ("link", 2, 5, "Ben/a.jpg")


def _folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY)


def test_a_people_folder_that_is_not_there_is_looked_at_later(people: Path) -> None:
    (people / MARKER).unlink()
    intents = intents_of(TO_DO, "symlink")
    assert not resume(intents, people, {}, NotingLedger())
    assert not resume(intents, people / "gone", {}, NotingLedger())


def test_nothing_is_intended_where_the_record_need_not_follow() -> None:
    assert intents_of([RemoveFolder("Ben", is_done=True), MakeFolder(2, "Ben", is_done=True)], "copy") == ""


def test_what_a_crash_removed_or_moved_is_recorded_too(people: Path) -> None:
    (people / "Ben/2024").mkdir(parents=True)
    (people / "Ben/2024/y.jpg").symlink_to("x")
    todo = [RemoveLink(8, "Ben/2024/y.jpg", "symlink:x")]
    assert resumed(people, {2: "Ben"}, actions=todo) == []
    (people / "Ben/2024/y.jpg").unlink()
    assert resumed(people, {2: "Ben"}, actions=todo) == [("removed", 8)]
    assert not (people / "Ben/2024").exists()
    (people / "Ben/z.jpg").symlink_to("x")
    move = MoveLink(9, 2, 5, "Ben/z.jpg", "Ben/2023/z.jpg", "/photos/z.jpg", "symlink:x")
    assert resumed(people, {2: "Ben"}, actions=[move]) == []
    (people / "Ben/2023").mkdir()
    (people / "Ben/z.jpg").rename(people / "Ben/2023/z.jpg")
    told = [("link", 2, 5, "Ben/2023/z.jpg", "symlink:x"), ("removed", 9)]
    assert resumed(people, {2: "Ben"}, actions=[move]) == told


def test_what_comes_is_told_before_it_is_done(people: Path) -> None:
    ledger, seen = NotingLedger(), []
    todo = Plan((MakeFolder(2, "Ben"), MakeLink(2, 5, "Ben/a.jpg", "/a.jpg", "../../a.jpg")))
    apply(
        todo,
        people,
        kind="symlink",
        ledger=ledger,
        intend=lambda actions: seen.append((actions, (people / "Ben").exists())),
    )
    assert seen == [(todo.actions, False)]
