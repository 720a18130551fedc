"""The doctor: every fault, made for real where that can be done, is found and told with what fixes it."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import save_detector, save_recogniser

from facewatch.checks import Finding, Severity
from facewatch.checks.doctor import (
    CHECKS,
    Case,
    Diagnosis,
    World,
    catalog,
    diagnose,
    environment,
    libraries,
    read_settings,
)
from facewatch.checks.doctor.case import finding_of, reading, walk
from facewatch.config import load_config
from facewatch.errors import FacewatchError
from facewatch.presentation.checks import summary
from facewatch.watcher.systemd import ServiceState

NATIVE = dict(environment.NATIVE)

# Importing libraries with machine code takes a second, and is tried by tests of its own.
pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "NATIVE", {"json": "python"})


class Mounted(NamedTuple):
    mountpoint: str
    fstype: str


class FakeManager:
    """A service manager that says this of the service."""

    name = "systemd"

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def state(self) -> ServiceState:
        return ServiceState(manager=self.name, file=Path("facewatch.service"), **self._facts)


def world(**parts: Any) -> World:
    """The real machine but for these parts, with nothing but a local disk mounted."""
    parts.setdefault("mounts", lambda: (Mounted("/", "ext4"),))
    parts.setdefault("manager", lambda: FakeManager(is_installed=False))
    return World(**parts)


def look(
    library: Library, settings: Mapping[str, Any] | None = None, *, is_deep: bool = False, **parts: Any
) -> Diagnosis:
    places = {"library.people": str(library.people), "library.catalog": str(library.catalog)}
    if library.photos.exists():
        places["library.photos"] = str(library.photos)
    config = load_config(None, places | dict(settings or {}), cwd=library.base)
    return diagnose(config, is_deep=is_deep, world=world(**parts))


def told(found: Diagnosis, area: str, *, level: str | None = None) -> list[Finding]:
    return [f for f in found.findings if f.kind == area and (f.severity == level if level else f.severity != "ok")]


def one(found: Diagnosis, area: str, *, level: str | None = None) -> Finding:
    [finding] = told(found, area, level=level)
    return finding


def snapshot(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return every file and folder with its rights, times and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, status.st_ino, content)
    return found


@pytest.fixture
def scanned(library: Library) -> Library:
    """Two people in three photos."""
    library.draw("a.png", (1, 0), (2, 0))
    library.draw("2024/b.png", (1, 1))
    library.draw("2024/c.png", (2, 1))
    library.scan()
    return library


def put(library: Library, statement: str, *values: object) -> None:
    """Put something into the catalog by another program."""
    with sqlite3.connect(library.catalog) as db:
        db.execute(statement, values)
    db.close()


# --- nothing wrong ---


def test_nothing_is_broken_in_a_library_that_was_just_scanned(scanned: Library, run: Any) -> None:
    answer = run("doctor", "--json")
    assert answer.code == 0
    facts = json.loads(answer.out)
    assert facts["is_well"]
    assert facts["n_broken"] == 0
    assert facts["n_ok"] + facts["n_remarks"] == len(facts["findings"])
    # Being root, or the machine's file system, may be remarked on; the library gives no reason for any.
    assert {f["area"] for f in facts["findings"] if f["level"] == "remark"} <= {"environment", "libraries", "watching"}
    assert {f["area"] for f in facts["findings"]} >= {"environment", "settings", "models", "catalog", "libraries"}


def test_it_can_be_read_by_people(scanned: Library, run: Any) -> None:
    answer = run("doctor")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert [line for line in lines if not line.startswith(" ")][:-1] == [area for area, _ in CHECKS]
    assert any(line.startswith(f"  ok      {scanned.catalog}: 3 photos in 3 files") for line in lines)
    assert lines[-1].startswith("all is well")


def test_quiet_tells_only_what_is_not_well(scanned: Library, run: Any) -> None:
    scanned.catalog.chmod(0o644)
    lines = run("doctor", "-q").out.splitlines()
    assert not [line for line in lines if line.startswith("  ok")]
    assert "  remark  others than you may read catalog.sqlite" in lines


@pytest.mark.parametrize("is_deep", [False, True])
def test_looking_changes_nothing(scanned: Library, is_deep: bool) -> None:
    before = snapshot(scanned.base)
    look(scanned, is_deep=is_deep)
    assert snapshot(scanned.base) == before


def test_looking_makes_nothing_where_there_is_nothing(library: Library) -> None:
    before = snapshot(library.base)
    found = look(library)
    assert snapshot(library.base) == before
    assert found.is_well
    assert one(found, "catalog").remedy == "facewatch scan PHOTOS makes it"


def test_it_works_while_a_watcher_is_at_work_and_writes(scanned: Library) -> None:
    with scanned.app() as app, app.pipeline.running("watch"), app.catalog.write():
        app.catalog.settings.set("engine", "fake")
        found = look(scanned)
    assert not told(found, "catalog", level="broken")
    assert f"watch (process {os.getpid()})" in told(found, "at work", level="ok")[0].text


def test_what_was_not_put_into_the_catalog_by_a_killed_writer_is_read_and_left(scanned: Library) -> None:
    script = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
        "db.execute(\"UPDATE people SET name = 'Anna' WHERE id = 1\"); db.commit(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, scanned.catalog], check=False)
    before = snapshot(scanned.catalog.parent)
    assert any(path.endswith("-wal") for path in before)
    found = look(scanned)
    # The folder does not have the new name yet, which only the log knows.
    assert "folder has an old name" in one(found, "people folder").text
    assert {path: facts for path, facts in snapshot(scanned.catalog.parent).items() if not path.endswith("-shm")} == {
        path: facts for path, facts in before.items() if not path.endswith("-shm")
    }


def test_what_is_not_well_always_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="needs a remedy"):
        finding_of("catalog", Severity.BROKEN, "it is")


@pytest.mark.parametrize(
    ("levels", "line"),
    [
        ([], "all is well"),
        (["ok", "remark"], "all is well, 1 remark"),
        (["broken", "remark", "remark"], "1 thing is broken, 2 remarks"),
        (["broken", "broken"], "2 things are broken"),
    ],
)
def test_the_last_line_sums_up(levels: list[Any], line: str) -> None:
    assert summary(Diagnosis(tuple(finding_of("area", Severity(level), "it", "mend it") for level in levels))) == line


# --- environment ---


def versions(known: Mapping[str, str]) -> Callable[[str], str]:
    def version_of(name: str) -> str:
        if name not in known:
            raise importlib.metadata.PackageNotFoundError(name)
        return known[name]

    return version_of


NEEDED = [
    environment.Requirement("pillow", "12.0", False),
    environment.Requirement("numpy", "2.0", False),
    environment.Requirement("infomap", "2.16", True),
]


def test_packages_that_are_absent_or_old_are_found() -> None:
    found = list(environment.check_packages(NEEDED, versions({"pillow": "11.9.1", "infomap": "2.2"})))
    assert [(f.severity, f.text) for f in found] == [
        ("broken", "the package pillow is 11.9.1, older than 12.0"),
        ("broken", "the package numpy is not installed"),
        ("broken", "the package infomap is 2.2, older than 2.16"),
    ]
    assert found[0].remedy == f"{sys.executable} -m pip install --upgrade 'pillow>=12.0'"


def test_an_optional_package_may_be_absent() -> None:
    [found] = environment.check_packages(NEEDED, versions({"pillow": "12", "numpy": "2.4.0rc1"}))
    assert found.severity == "ok"


def test_what_is_required_is_known_also_in_a_checkout() -> None:
    needed = {one.name: one for one in environment.requirements()}
    assert needed["click"].least == "8.3"
    assert not needed["click"].is_optional


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_versions_are_compared_number_by_number(one: list[int], two: list[int]) -> None:
    def text(numbers: list[int]) -> str:
        return ".".join(map(str, numbers))

    n = max(len(one), len(two))
    is_older = one + [0] * (n - len(one)) < two + [0] * (n - len(two))
    needed = [environment.Requirement("it", text(two), False)]
    [found] = environment.check_packages(needed, versions({"it": text(one)}))
    assert (found.severity == "broken") == is_older


def test_a_library_that_crashes_or_hangs_or_is_broken_is_told_and_the_others_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {
        "crashing": "import os; os.abort()",
        "broken": "raise ImportError('libx.so.3: no such file')",
        "hanging": "import threading; threading.Event().wait()",
        "good": "",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = {name: f"python-{name}" for name in (*sources, "absent_module")}
    with environment.trying(modules) as tries:
        found = {f.text: f for f in environment.check_native(tries, seconds=3.0)}
    assert found.keys() == {
        "absent_module is not installed",
        "crashing cannot be loaded: it crashes (SIGABRT)",
        "broken cannot be loaded: ImportError: libx.so.3: no such file",
        "hanging cannot be loaded: it hangs (more than 3 s)",
        "can be loaded: good",
    }
    assert found["crashing cannot be loaded: it crashes (SIGABRT)"].remedy.endswith("python-crashing")


@pytest.mark.parametrize("version", [1, 2])
def test_a_memory_limit_of_a_group_or_of_one_around_it_counts(tmp_path: Path, version: int) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    line, base, name, none = {
        1: ("7:cpu,memory:/a/b", groups / "memory", "memory.limit_in_bytes", str(2**63 - 4096)),
        2: ("0::/a/b", groups, "memory.max", "max"),
    }[version]
    (proc / "self" / "cgroup").write_text(f"{line}\n")
    (base / "a" / "b").mkdir(parents=True)
    (base / "a" / "b" / name).write_text(f"{none}\n")
    assert environment.memory_limit(proc, groups) is None
    (base / "a" / name).write_text("536870912\n")
    assert environment.memory_limit(proc, groups) == 536870912


def test_little_memory_is_remarked_on(library: Library, tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    groups.mkdir()
    (proc / "self" / "cgroup").write_text("0::/\n")
    (groups / "memory.max").write_text("700000000\n")
    [finding] = [f for f in told(look(library, proc=proc, cgroups=groups), "environment") if "memory" in f.text]
    assert "700 MB of memory (a limit; the machine has" in finding.text
    assert "workers = 1" in finding.remedy


def test_names_of_files_must_be_able_to_be_anything() -> None:
    [finding] = environment.check_encoding("ascii")
    assert (finding.severity, "PYTHONUTF8=1" in finding.remedy) == ("broken", True)
    assert not list(environment.check_encoding("utf-8"))


def test_a_clock_that_is_behind_the_catalog_is_wrong(scanned: Library) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    [finding] = told(look(scanned, now=lambda: yesterday), "environment", level="broken")
    assert "but the catalog was last used at" in finding.text
    assert "timedatectl" in finding.remedy


def test_a_clock_that_was_never_set_is_wrong(library: Library) -> None:
    [finding] = told(look(library, now=lambda: datetime(1970, 1, 2, tzinfo=UTC)), "environment", level="broken")
    assert "never set" in finding.text


def test_root_and_an_open_umask_are_remarked_on() -> None:
    assert [f.severity for f in environment.check_user(0, 0o022)] == ["remark"]
    assert not list(environment.check_user(1000, 0o022))
    [finding] = environment.check_user(1000, 0)
    assert "umask 000" in finding.text


@pytest.mark.parametrize(("soft", "hard", "n"), [(256, 4096, 1), (1024, 4096, 0), (-1, -1, 0)])
def test_few_open_files_are_remarked_on(soft: int, hard: int, n: int) -> None:
    found = list(environment.check_open_files(soft, hard))
    assert len(found) == n
    assert all("ulimit -n 4096" in finding.remedy for finding in found)


# --- settings ---


def test_all_faults_of_the_settings_are_told_and_the_rest_is_looked_at(
    scanned: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    from facewatch.cli import main

    file = scanned.base / "facewatch.toml"
    file.write_text(
        f'[library]\nphotos = "Photos"\ncatalog = "data/catalog.sqlite"\npeople = "{scanned.people}"\nphtos = 1\n'
        '[watch]\npoll = "sometimes"\n[folders]\nlink = "hardlink"\n'
    )
    assert main(["doctor", "--json", "--config", str(file)]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    faults = [f for f in findings if f["area"] == "settings"]
    assert [f["level"] for f in faults] == ["broken", "broken"]
    assert "unknown setting library.phtos" in faults[0]["what"]
    assert faults[0]["remedy"] == "did you mean library.photos?"
    assert "watch.poll = 'sometimes': must be one of" in faults[1]["what"]
    # What is right in the file counts, and relative places are still relative to it.
    assert any(f["level"] == "ok" and str(scanned.catalog) in f["what"] for f in findings)
    assert any(f["level"] == "ok" and str(scanned.photos) in f["what"] for f in findings)


@pytest.mark.parametrize("content", [b"[library", b"\xff", b"library = 3\n"])
def test_a_file_that_cannot_be_understood_is_told(library: Library, content: bytes) -> None:
    file = library.base / "broken.toml"
    file.write_bytes(content)
    config, faults = read_settings(file, {"library.catalog": "data/c.sqlite"}, cwd=library.base)
    assert len(faults) == 1
    assert config.catalog == library.base / "data" / "c.sqlite"
    assert one(diagnose(config, faults, world=world()), "settings").severity == "broken"


def test_a_settings_file_that_is_not_there_is_told(library: Library) -> None:
    config, faults = read_settings(library.base / "nowhere.toml", {}, cwd=library.base)
    finding = one(diagnose(config, faults, world=world()), "settings")
    assert "there is no such file" in finding.text
    assert "facewatch init" in finding.remedy


def test_folders_that_lie_in_each_other_are_told(library: Library) -> None:
    found = look(library, {"library.people": str(library.photos / "People")})
    assert "must lie beside the photos" in one(found, "settings").text


# --- models ---


def test_an_engine_whose_files_are_absent_is_broken(library: Library) -> None:
    finding = one(look(library, {"engine.name": "insightface:buffalo_s"}), "models")
    assert finding.severity == "broken"
    assert "facewatch models fetch buffalo_s" in finding.remedy


@pytest.fixture
def pack(tmp_path: Path) -> dict[str, str]:
    """Settings that want a pack whose recogniser onnxruntime runs."""
    save_detector(tmp_path / "pack/det.onnx")
    save_recogniser(tmp_path / "pack/rec.onnx")
    return {"engine.name": f"insightface:{tmp_path / 'pack'}", "engine.runtime": "onnxruntime"}


def test_it_says_what_runs_the_recogniser(library: Library, pack: dict[str, str]) -> None:
    said = [finding.text for finding in told(look(library, pack), "models", level="ok")]
    assert said[-1].startswith("its recogniser is run by onnxruntime ")


def test_a_runtime_that_cannot_be_used_is_broken(library: Library, pack: dict[str, str]) -> None:
    finding = one(look(library, pack | {"engine.runtime": "openvino", "engine.device": "cuda"}), "models")
    assert finding.severity == "broken"
    assert "it runs on the CPU only" in finding.text
    assert 'set engine.device to "cpu" or "auto"' in finding.remedy


def test_an_engine_that_is_being_changed_is_remarked_on(scanned: Library) -> None:
    finding = one(look(scanned, {"engine.name": "face_recognition"}), "models")
    assert finding.text == "the engine is being changed from fake to face_recognition"


def test_model_files_that_are_not_those_of_the_catalog_are_remarked_on(scanned: Library) -> None:
    put(scanned, "UPDATE engines SET fingerprint = 'another'")
    assert "not those that the catalog was made with" in one(look(scanned), "models").text


def test_deep_reads_model_files_byte_for_byte(library: Library, shared: Path, tmp_path: Path) -> None:
    from facewatch.models.importing import import_pack

    folder = tmp_path / "models"
    import_pack(shared / "models" / "buffalo_sc_dq", folder, name="small")
    settings = {"engine.name": "insightface:small", "engine.models": str(folder)}
    assert not told(look(library, settings, is_deep=True), "models")
    model = folder / "small" / "det_500m.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    assert not told(look(library, settings), "models")
    finding = one(look(library, settings, is_deep=True), "models")
    assert "det_500m.onnx" in finding.text
    assert finding.remedy.startswith("`facewatch models import")


# --- catalog ---


def damage(path: Path, start: int, n_bytes: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * n_bytes)


def test_a_catalog_whose_head_is_overwritten_is_damaged_and_the_rest_is_looked_at(scanned: Library, run: Any) -> None:
    damage(scanned.catalog, 0, 4096)
    answer = run("doctor", "--json")
    assert answer.code == 1
    found = json.loads(answer.out)["findings"]
    [finding] = [f for f in found if f["level"] == "broken" and f["area"] == "catalog"]
    assert "damaged (file is not a database)" in finding["what"]
    assert {f["area"] for f in found} >= {"environment", "settings", "models", "libraries", "people folder", "at work"}


def test_a_catalog_with_overwritten_pages_is_damaged(scanned: Library) -> None:
    size = scanned.catalog.stat().st_size
    damage(scanned.catalog, 2 * 8192, size - 2 * 8192)
    found = look(scanned)
    assert not found.is_well
    assert any("damaged" in f.text or "cannot be read" in f.text for f in told(found, "catalog", level="broken"))


def test_a_damaged_catalog_is_told_which_backup_there_is(scanned: Library) -> None:
    folder = scanned.catalog.with_name("catalog.sqlite.backups")
    folder.mkdir()
    for day in ("2026-11-20", "2026-11-21"):
        (folder / f"catalog-{day}.sqlite").touch()
    damage(scanned.catalog, 0, 4096)
    remedy = one(look(scanned), "catalog", level="broken").remedy
    assert remedy.endswith(f"facewatch restore '{folder / 'catalog-2026-11-21.sqlite'}'")


def test_the_backup_that_is_advised_is_one_that_the_user_did_not_give_up_and_everybody_advises_it(
    scanned: Library, run: Any
) -> None:
    folder = scanned.catalog.with_name("catalog.sqlite.backups")
    folder.mkdir()
    names = (
        "catalog-2026-11-20.sqlite",
        "catalog-2026-11-21.sqlite",
        "catalog-before-restore-2026-11-21-120000.sqlite",
    )
    for hours, name in enumerate(names):
        (folder / name).touch()
        os.utime(folder / name, times=(hours * 3600, hours * 3600))
    damage(scanned.catalog, 0, 4096)
    made = datetime.fromtimestamp(3600, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    remedy = one(look(scanned), "catalog", level="broken").remedy
    said = run("status").err
    for advice in (remedy, said):
        assert f"of {made}" in advice
        assert str(folder / names[1]) in advice
        assert "before-restore" not in advice
    migrated = scanned.catalog.with_name("catalog.sqlite.before-12_x")
    migrated.touch()
    assert str(migrated) in one(look(scanned), "catalog", level="broken").remedy
    assert str(migrated) in run("status").err


@pytest.mark.parametrize(
    ("free", "what", "remedy"),
    [
        (4096, "cannot be read while its disk is full", "make room"),
        (10**10, "the disk failed to read or write (disk I/O error)", "check the disk"),
    ],
)
def test_a_disk_that_fails_is_not_called_damage(scanned: Library, free: int, what: str, remedy: str) -> None:
    # What a killed writer left must be read with SQLite's shared memory, for which files may not grow here.
    script = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
        "db.execute(\"UPDATE people SET name = 'Anna' WHERE id = 1\"); db.commit(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, scanned.catalog], check=False)
    scanned.catalog.with_name("catalog.sqlite-shm").unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        found = look(scanned, free_bytes=lambda _: free)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finding = told(found, "catalog", level="broken")[0]
    assert what in finding.text
    assert finding.remedy.startswith(remedy)
    assert not [f for f in found.findings if "damaged" in f.text or "move it away" in f.remedy]


def test_a_disk_that_fails_later_on_is_not_a_reason_to_give_the_catalog_up(scanned: Library) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_READ"
    config = load_config(None, {"library.catalog": str(scanned.catalog)}, cwd=scanned.base)
    with reading(config.catalog) as state:
        for free, remedy in ((4096, "make room"), (10**10, "check the disk")):
            case = Case(config, (), state, scanned.people, world=world(free_bytes=lambda _, n=free: n))
            assert catalog.advice_on(case, error).startswith(remedy)
        assert "move it away" in catalog.advice_on(case, sqlite3.DatabaseError("malformed"))


def test_deep_finds_an_index_that_disagrees_with_its_table(scanned: Library) -> None:
    db = sqlite3.connect(scanned.catalog)
    db.execute("PRAGMA writable_schema = ON")
    [(root,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'faces_photo'").fetchall()
    [(other,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'journal_parent'").fetchall()
    db.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = 'faces_photo'", [other])
    db.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = 'journal_parent'", [root])
    db.commit()
    db.close()
    assert not told(look(scanned), "catalog")
    finding = one(look(scanned, is_deep=True), "catalog", level="broken")
    assert "missing from index" in finding.text
    assert finding.remedy == f"stop facewatch, then: sqlite3 '{scanned.catalog}' REINDEX"


def test_deep_finds_what_contradicts_itself(scanned: Library) -> None:
    assert any(f.text == "agrees with itself" for f in told(look(scanned, is_deep=True), "catalog", level="ok"))
    put(scanned, "UPDATE people SET merged_into = 2 WHERE id = 1")
    assert look(scanned).is_well
    found = told(look(scanned, is_deep=True), "catalog", level="broken")
    assert any("a person no longer" in f.text for f in found)
    assert all("facewatch audit --fix" in f.remedy for f in found)


def test_a_newer_catalog_is_told_and_left_alone(scanned: Library) -> None:
    put(
        scanned,
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('facewatch', '9999_later', 'now')",
    )
    before = scanned.catalog.read_bytes()
    finding = one(look(scanned), "catalog", level="broken")
    assert "made by a newer facewatch (it has 9999_later)" in finding.text
    assert finding.remedy == "update facewatch"
    assert scanned.catalog.read_bytes() == before


def test_an_older_catalog_is_told_and_not_migrated(scanned: Library) -> None:
    put(scanned, "DELETE FROM _sqlite_migrations WHERE name LIKE '0003%'")
    before = scanned.catalog.read_bytes()
    assert "it lacks 0003_decisions" in one(look(scanned), "catalog").text
    assert scanned.catalog.read_bytes() == before


def test_a_catalog_that_another_program_keeps_to_itself_is_locked(scanned: Library) -> None:
    db = sqlite3.connect(scanned.catalog)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("UPDATE people SET name = 'Anna' WHERE id = 1")
    db.commit()
    try:
        finding = one(look(scanned), "catalog", level="broken")
    finally:
        db.close()
    assert "locked by another program" in finding.text


def test_another_database_is_no_catalog(library: Library) -> None:
    library.catalog.parent.mkdir()
    put(library, "CREATE TABLE songs (title TEXT)")
    assert "not a catalog of facewatch" in one(look(library), "catalog", level="broken").text


def test_a_folder_in_place_of_the_catalog_is_told(library: Library) -> None:
    library.catalog.mkdir(parents=True)
    assert "cannot be read" in one(look(library), "catalog", level="broken").text


def test_a_network_file_system_is_no_place_for_a_catalog(scanned: Library) -> None:
    mounts = (Mounted("/", "ext4"), Mounted(str(scanned.catalog.parent), "nfs4"))
    assert "network file system (nfs4)" in one(look(scanned, mounts=lambda: mounts), "catalog", level="broken").text


@pytest.mark.parametrize(("free", "level"), [(10**6, "broken"), (5 * 10**8, "remark"), (10**10, None)])
def test_a_disk_with_little_room_is_told(scanned: Library, free: int, level: str | None) -> None:
    found = [f.severity for f in told(look(scanned, free_bytes=lambda _: free), "catalog")]
    assert found == ([level] if level else [])


def test_a_log_that_is_never_emptied_is_told(scanned: Library) -> None:
    with scanned.app():
        os.truncate(scanned.catalog.with_name("catalog.sqlite-wal"), 300_000_000)
        finding = one(look(scanned), "catalog")
        os.truncate(scanned.catalog.with_name("catalog.sqlite-wal"), 0)
    assert "300 MB wait to be put into the catalog" in finding.text


def test_what_others_may_read_is_told_with_the_command(scanned: Library) -> None:
    crops = scanned.catalog.with_name("catalog.sqlite.crops")
    crops.mkdir()
    crops.chmod(0o755)
    finding = one(look(scanned), "catalog")
    assert finding.text == "others than you may read catalog.sqlite.crops"
    assert finding.remedy == f"chmod go= '{crops}'"


def test_a_folder_that_others_may_write_in_is_told(scanned: Library) -> None:
    scanned.catalog.parent.chmod(0o777)
    assert "others may delete the catalog" in one(look(scanned), "catalog").text


def test_a_catalog_of_some_age_should_have_a_backup(scanned: Library) -> None:
    later = datetime.now(UTC) + timedelta(days=10)
    assert "no backup in" in one(look(scanned, now=lambda: later), "catalog").text
    folder = scanned.base / "safe"
    folder.mkdir()
    (folder / "catalog-2026-11-21.sqlite").touch()
    settings = {"backup.folder": str(folder)}
    assert not told(look(scanned, settings), "catalog")
    assert "1 backup, the newest of" in one(look(scanned, settings, now=lambda: later), "catalog").text
    assert not told(look(scanned, settings | {"backup.daily": False}, now=lambda: later), "catalog")


def test_backups_of_earlier_versions_are_mentioned(scanned: Library) -> None:
    old = scanned.catalog.with_name("catalog.sqlite.before-0002")
    old.touch(mode=0o600)
    assert any("they may be deleted" in f.text for f in told(look(scanned), "catalog", level="ok"))


# --- libraries ---


def test_a_library_that_is_gone_is_offline(scanned: Library) -> None:
    scanned.photos.rename(scanned.base / "elsewhere")
    finding = one(look(scanned), "libraries")
    assert (finding.severity, finding.text) == ("broken", f"{scanned.photos}: offline: it is not there")
    assert "nothing of it was removed" in finding.remedy


@pytest.mark.parametrize("fault", [errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EACCES])
def test_what_is_on_a_dead_mount_is_told_and_the_rest_is_looked_at(
    scanned: Library, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    def refusing(call: Callable[..., Any], dead: Path) -> Callable[..., Any]:
        def refuse(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            if not isinstance(path, int) and Path(os.fsdecode(path)).is_relative_to(dead):
                raise OSError(fault, os.strerror(fault), path)
            return call(path, *arguments, **options)

        return refuse

    places = {"photos": scanned.photos, "people": scanned.people, "catalog": scanned.catalog}
    config = load_config(None, {f"library.{key}": str(path) for key, path in places.items()}, cwd=scanned.base)

    def look_without(dead: Path) -> Diagnosis:
        with monkeypatch.context() as patch:
            for name in ("stat", "lstat", "scandir", "open"):
                patch.setattr(os, name, refusing(getattr(os, name), dead))
            return diagnose(config, world=world())

    found = look_without(scanned.photos)
    finding = one(found, "libraries")
    assert (finding.severity, finding.text) == ("broken", f"{scanned.photos}: offline: {os.strerror(fault)}")
    assert not [f for f in found.findings if "could not be checked" in f.text]
    assert not told(found, "people folder")

    found = look_without(scanned.people)
    assert one(found, "people folder").text == f"{scanned.people}: it is not there, but folders were made in it"
    assert not told(found, "libraries")

    found = look_without(scanned.catalog)
    assert any(os.strerror(fault) in f.text for f in told(found, "catalog", level="broken"))
    assert not told(found, "libraries")


@pytest.mark.parametrize("marker", [".nomedia", ".noimage"])
def test_a_marker_in_a_library_itself_is_told(scanned: Library, marker: str) -> None:
    (scanned.photos / marker).touch()
    finding = one(look(scanned), "libraries")
    assert finding.severity == "remark"
    assert finding.text == (
        f"{scanned.photos}: has a {marker}, so that nothing in it is scanned; 3 files that it held count as offline"
    )
    assert finding.remedy == f"delete '{scanned.photos / marker}' if its photos are to be scanned"
    (scanned.photos / marker).rename(scanned.photos / "2024" / marker)
    assert not told(look(scanned), "libraries")


def test_a_library_that_is_suddenly_empty_is_offline(scanned: Library) -> None:
    scanned.photos.rename(scanned.base / "elsewhere")
    scanned.photos.mkdir()
    assert any("empty, but 3 files were there" in f.text for f in told(look(scanned), "libraries", level="broken"))


def test_a_library_on_another_drive_is_judged_by_what_it_holds(scanned: Library) -> None:
    put(scanned, "UPDATE roots SET device = device + 1")
    assert not told(look(scanned), "libraries")
    for name in ("2024/b.png", "2024/c.png"):
        (scanned.photos / name).unlink()
    finding = one(look(scanned), "libraries")
    assert (finding.severity, "on another drive than before, and 2 of 3 files" in finding.text) == ("broken", True)
    assert f"facewatch scan --new-drive '{scanned.photos}'" in finding.remedy


def test_a_drive_that_was_mounted_within_a_library_is_missed(scanned: Library) -> None:
    with scanned.app() as app, app.catalog.write():
        app.catalog.roots.set_mounts(app.libraries.root_id(scanned.photos), {"2024"})
    finding = one(look(scanned), "libraries")
    assert (finding.severity, "another drive was mounted there" in finding.text) == ("broken", True)


def test_files_that_cannot_be_read_are_counted_with_an_example(scanned: Library) -> None:
    def can(path: str, _: int) -> bool:
        return not path.startswith(str(scanned.photos / "2024"))

    finding = one(look(scanned, can=can), "libraries")
    assert "2 files cannot be read" in finding.text
    assert str(scanned.photos / "2024") in finding.text
    assert "chmod -R u+rX" in finding.remedy


def test_folders_that_cannot_be_listed_are_counted(scanned: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("/2024"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    walked = walk(scanned.photos, exclude=(), can=lambda *_: True, report=lambda _: None)
    assert walked.unread_folders == (f"{scanned.photos}/2024",)
    assert walked.n_files == 1


def test_excluded_and_hidden_folders_are_neither_counted_nor_entered(library: Library) -> None:
    for folder in ("kept/deep", "@eaDir/deep", ".hidden", "marked/deep"):
        (library.photos / folder).mkdir(parents=True)
    (library.photos / "marked" / ".nomedia").touch()
    walked = walk(library.photos, exclude=("@eaDir",), can=lambda *_: True, report=lambda _: None)
    assert walked.n_folders == 3


def test_links_in_a_library_are_counted_and_not_followed(scanned: Library) -> None:
    (scanned.photos / "loop").symlink_to(scanned.photos)
    (scanned.photos / "one.png").symlink_to(scanned.photos / "a.png")
    assert "2 symlinks are not followed" in one(look(scanned), "libraries").text


def test_a_library_where_changes_are_not_told_is_polled(scanned: Library) -> None:
    mounts = (Mounted("/", "ext4"), Mounted(str(scanned.photos), "cifs"))
    finding = one(look(scanned, {"watch.poll_seconds": 30}, mounts=lambda: mounts), "libraries")
    assert "on cifs, where not every change is reported, so it is scanned every 30 s" in finding.text
    assert not told(look(scanned, {"watch.poll": "always"}, mounts=lambda: mounts), "libraries")


def test_a_mount_within_a_library_where_changes_are_not_told_is_remarked_on(scanned: Library) -> None:
    mounts = (Mounted("/", "ext4"), Mounted(str(scanned.photos / "2024"), "nfs4"))
    finding = one(look(scanned, mounts=lambda: mounts), "libraries")
    assert f"{scanned.photos / '2024'}: mounted within the library, on nfs4" in finding.text


def test_a_library_is_found_by_the_catalog_when_no_settings_name_it(scanned: Library) -> None:
    places = {"library.catalog": str(scanned.catalog)}
    found = diagnose(load_config(None, places, cwd=scanned.base), world=world())
    assert any(str(scanned.photos) in f.text for f in told(found, "libraries", level="ok"))


# --- watching ---


def fake_proc(folder: Path, *, watches: int, instances: int = 128, events: int = 16384) -> Path:
    limits = folder / "sys" / "fs" / "inotify"
    limits.mkdir(parents=True)
    (limits / "max_user_watches").write_text(f"{watches}\n")
    (limits / "max_user_instances").write_text(f"{instances}\n")
    (limits / "max_queued_events").write_text(f"{events}\n")
    return folder


def add_process(proc: Path, process: int, n_watches: int) -> None:
    for name in ("fd", "fdinfo"):
        (proc / str(process) / name).mkdir(parents=True)
    (proc / str(process) / "fd" / "0").symlink_to("/dev/null")
    (proc / str(process) / "fd" / "7").symlink_to("anon_inode:inotify")
    lines = [f"inotify wd:{i:x} ino:1 sdev:2 mask:fce ignored_mask:0" for i in range(n_watches)]
    (proc / str(process) / "fdinfo" / "7").write_text("\n".join(["pos:\t0", "flags:\t00", *lines]))


def test_watches_of_others_are_counted_and_the_command_that_raises_the_limit_is_told(
    scanned: Library, tmp_path: Path
) -> None:
    proc = fake_proc(tmp_path / "proc", watches=99)
    add_process(proc, 41, 60)
    add_process(proc, 42, 38)
    (proc / "self").mkdir()
    assert libraries.read_usage(proc, os.geteuid()) == libraries.Usage(libraries.Counter({41: 60, 42: 38}), 2)
    assert libraries.read_usage(proc, os.geteuid() + 1).n_instances == 0
    finding = one(look(scanned, proc=proc), "watching")
    assert "2 folders to watch, 98 watched by other programs of yours" in finding.text
    assert "max_user_watches=524288" in finding.remedy


def test_what_the_watcher_itself_listens_to_is_not_counted_twice(scanned: Library, tmp_path: Path) -> None:
    proc = fake_proc(tmp_path / "proc", watches=99)
    add_process(proc, os.getpid(), 98)
    assert told(look(scanned, proc=proc), "watching")
    with scanned.app() as app, app.pipeline.running("watch"):
        assert not told(look(scanned, proc=proc), "watching")


def test_a_limit_that_the_folders_exceed_is_told(tmp_path: Path) -> None:
    found = list(libraries.check_limits(libraries.WatchLimits(8192, 128, 16384), n_folders=5000, n_used=4000))
    assert found[0].severity == "remark"
    assert "the kernel allows only 8,192" in found[0].text
    assert found[0].remedy == (
        "echo fs.inotify.max_user_watches=524288 | sudo tee -a /etc/sysctl.d/60-facewatch.conf"
        " && sudo sysctl -p /etc/sysctl.d/60-facewatch.conf"
    )


@given(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(1, 10**7))
def test_the_limit_that_is_advised_is_enough(n_folders: int, n_used: int, limit: int) -> None:
    [found] = libraries.check_limits(libraries.WatchLimits(limit, 128, 16384), n_folders=n_folders, n_used=n_used)
    if found.severity == "ok":
        assert n_folders + n_used <= limit
    else:
        advised = int(re.findall(r"max_user_watches=(\d+)", found.remedy)[0])
        [again] = libraries.check_limits(libraries.WatchLimits(advised, 128, 16384), n_folders=n_folders, n_used=n_used)
        assert again.severity == "ok"
        assert advised > limit


def test_a_short_queue_of_events_is_told() -> None:
    found = list(libraries.check_limits(libraries.WatchLimits(8192, 128, 100), n_folders=1, n_used=0))
    assert [f.severity for f in found] == ["ok", "remark"]
    assert "fs.inotify.max_queued_events=16384" in found[1].remedy


def test_no_instance_that_is_free_is_told(scanned: Library, tmp_path: Path) -> None:
    proc = fake_proc(tmp_path / "proc", watches=8192, instances=1)
    add_process(proc, 41, 1)
    finding = one(look(scanned, proc=proc), "watching")
    assert "max_user_instances=2" in finding.remedy


def test_a_machine_without_inotify_has_no_limits_to_tell(scanned: Library, tmp_path: Path) -> None:
    assert not told(look(scanned, proc=tmp_path / "nothing"), "watching")


# --- people folder ---


def test_a_people_folder_that_is_gone_is_told(scanned: Library) -> None:
    (scanned.base / "deep").mkdir()
    scanned.people.rename(scanned.base / "deep" / "elsewhere")
    finding = one(look(scanned), "people folder")
    assert "it is not there, but folders were made in it" in finding.text
    assert "facewatch folders" in finding.remedy
    (scanned.base / "deep" / "elsewhere").rename(scanned.base / "Renamed")
    finding = one(look(scanned), "people folder")
    assert f"{scanned.base / 'Renamed'} is marked as this library's people folder" in finding.text


def test_a_people_folder_without_its_marker_is_told_once(scanned: Library) -> None:
    (scanned.people / ".facewatch").unlink()
    finding = one(look(scanned), "people folder")
    assert "its mark, the file .facewatch, is gone; nothing is concluded from it" in finding.text
    assert "facewatch folders --repair marks it again" in finding.remedy


def test_a_people_folder_of_another_catalog_is_told(scanned: Library) -> None:
    (scanned.people / ".facewatch").write_text('{"program": "facewatch", "library": "another"}')
    assert "belongs to another catalog" in one(look(scanned), "people folder").text


def test_a_marker_that_is_rubbish_is_told(scanned: Library) -> None:
    (scanned.people / ".facewatch").write_text("rubbish")
    assert "cannot be read" in one(look(scanned), "people folder").text


def test_a_file_in_place_of_the_people_folder_is_told(library: Library) -> None:
    library.people.touch()
    assert "not a folder" in one(look(library), "people folder").text


def test_a_people_folder_that_cannot_be_written_is_told(scanned: Library) -> None:
    finding = one(look(scanned, can=lambda path, what: not what & os.W_OK), "people folder")
    assert "cannot be written" in finding.text


def test_a_people_folder_that_cannot_be_made_is_told(library: Library) -> None:
    finding = one(look(library, can=lambda path, what: not what & os.W_OK), "people folder")
    assert f"cannot be made in {library.base}" in finding.text


@pytest.mark.parametrize("kind", ["exfat", "vfat"])
def test_a_file_system_without_links_is_told(scanned: Library, kind: str) -> None:
    mounts = (Mounted("/", "ext4"), Mounted(str(scanned.people), kind))
    finding = one(look(scanned, {"folders.link": "symlink"}, mounts=lambda: mounts), "people folder")
    assert f"on {kind}, which cannot hold a symlink" in finding.text
    assert 'link = "copy"' in finding.remedy
    finding = one(look(scanned, mounts=lambda: mounts), "people folder")
    assert f"on {kind}, which holds no links: photos get there as copies, which take room" in finding.text


def test_links_of_another_kind_than_usual_are_told(scanned: Library) -> None:
    scanned.scan(**{"folders.link": "hardlink"})
    assert "photos get there as hard links" in [f.text for f in told(look(scanned), "people folder", level="ok")]


def test_a_file_system_without_reflinks_is_told(scanned: Library) -> None:
    def told(system: str) -> list[str]:
        mounts = (Mounted("/", system),)
        seen = look(scanned, {"folders.link": "reflink"}, mounts=lambda: mounts)
        return [finding.text for finding in seen.findings if "reflink" in finding.text]

    assert told("ext4") == [f"{scanned.people}: on ext4, which cannot hold a reflink"]
    assert told("btrfs") == []


def test_hard_links_between_two_disks_are_told(scanned: Library) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == scanned.base.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    found = look(scanned, {"folders.link": "hardlink", "library.people": str(shm / "nobody" / "People")})
    assert any("they are on two file systems" in f.text for f in told(found, "people folder", level="broken"))


def test_links_that_lead_nowhere_are_counted(scanned: Library) -> None:
    (scanned.photos / "a.png").unlink()
    [finding] = [f for f in told(look(scanned), "people folder") if "nowhere" in f.text]
    assert "2 links lead nowhere" in finding.text
    assert "a.png" in finding.text


def test_links_into_a_library_that_is_offline_are_not_held_against_the_folder(scanned: Library) -> None:
    scanned.photos.rename(scanned.base / "elsewhere")
    assert not told(look(scanned), "people folder")


def test_links_that_are_missing_or_not_on_record_are_counted(scanned: Library) -> None:
    next(scanned.people.rglob("b.png")).unlink()
    put(scanned, "DELETE FROM links WHERE display LIKE '%c.png'")
    finding = one(look(scanned), "people folder")
    assert "1 link is missing" in finding.text
    assert "1 link is there, but not on record" in finding.text
    assert finding.remedy == "facewatch folders fixes that"


def test_of_very_many_links_the_names_are_compared(scanned: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "MOST_PLANNED", 2)
    assert not told(look(scanned), "people folder")
    next(scanned.people.rglob("b.png")).unlink()
    assert "1 link is on record, but not there" in one(look(scanned), "people folder").text
    put(scanned, "DELETE FROM links WHERE display LIKE '%c.png'")
    found = one(look(scanned, is_deep=True), "people folder").text
    assert "1 link is missing, 1 link is there, but not on record" in found


def test_copies_that_find_no_room_are_told(scanned: Library) -> None:
    found = look(scanned, {"folders.link": "copy"}, free_bytes=lambda _: 10)
    assert any("copies to make take" in f.text for f in told(found, "people folder", level="broken"))


# --- at work, and photos ---


def test_a_run_that_was_cut_off_is_told(scanned: Library) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    put(scanned, "INSERT INTO runs (kind, pid, started_at) VALUES ('watch', ?, '2026-11-20T10:00:00Z')", gone.pid)
    finding = one(look(scanned), "at work")
    assert "the last run (watch, of 2026-11-20T10:00:00Z" in finding.text
    assert "nothing is lost, the next carries on: facewatch watch" in finding.remedy


def test_a_watcher_that_was_killed_was_cut_off_also_when_its_number_is_still_taken(scanned: Library) -> None:
    put(scanned, "INSERT INTO runs (kind, pid, started_at) VALUES ('watch', ?, '2026-11-20T10:00:00Z')", os.getpid())
    assert "the last run (watch, of 2026-11-20T10:00:00Z" in one(look(scanned), "at work").text


def test_a_pause_is_told(scanned: Library) -> None:
    put(scanned, "INSERT INTO settings (key, value) VALUES ('paused', '\"2026-11-20T10:00:00Z\"')")
    assert one(look(scanned), "at work").remedy == "facewatch resume"


@pytest.mark.parametrize(
    ("facts", "told_facts"),
    [
        ({"is_installed": False}, []),
        ({"is_installed": True, "is_enabled": True, "activity": "running"}, []),
        ({"is_installed": True, "activity": "failed", "exit_code": 5}, [("broken", "failed (exit code 5)")]),
        ({"is_installed": True, "is_enabled": True}, [("remark", "stopped")]),
        ({"is_installed": True, "activity": "running"}, [("remark", "does not start by itself")]),
        (
            {"is_installed": True, "is_enabled": True, "activity": "running", "is_lingering": False},
            [("remark", "ends when you log out")],
        ),
    ],
)
def test_how_the_service_is_is_told(scanned: Library, facts: dict[str, Any], told_facts: list[tuple[str, str]]) -> None:
    found = told(look(scanned, manager=lambda: FakeManager(**facts)), "at work")
    assert [(f.severity, f.text.removeprefix("service of systemd: ")) for f in found] == told_facts


def test_a_system_without_services_is_no_fault(scanned: Library) -> None:
    def nothing() -> FakeManager:
        raise FacewatchError("this system is not run by systemd")

    assert not told(look(scanned, manager=nothing), "at work")


def test_files_that_could_not_be_used_are_told_by_cause(library: Library) -> None:
    library.draw("good.png", (1, 0))
    for name in ("one", "two"):
        (library.photos / f"{name}.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    (library.photos / "empty.jpg").touch()
    long_ago = 1_600_000_000
    for path in library.photos.iterdir():
        os.utime(path, (long_ago, long_ago))
    library.scan()
    found = told(look(library), "photos")
    assert [f.text.split(":")[0] for f in found] == ["2 files", "1 file"]
    assert all(f.severity == "remark" and f.remedy for f in found)


def test_deep_decodes_a_photo_of_every_format_in_a_process_of_its_own(scanned: Library) -> None:
    assert any(f.text == "a sample was decoded of PNG" for f in told(look(scanned, is_deep=True), "photos", level="ok"))
    for photo in scanned.photos.rglob("*.png"):
        before = photo.stat()
        damage(photo, 40, before.st_size - 40)
        os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    finding = one(look(scanned, is_deep=True), "photos")
    assert finding.severity == "broken"
    assert "cannot be decoded" in finding.text


def test_deep_does_not_judge_a_photo_that_was_changed_since(scanned: Library) -> None:
    for photo in scanned.photos.rglob("*.png"):
        photo.write_bytes(b"something else")
    assert not told(look(scanned, is_deep=True), "photos")


# --- names ---


def test_hostile_names_do_not_reach_the_terminal(library: Library, run: Any) -> None:
    name = os.fsdecode(b"a\n\x1b[31mred\xff.lnk")
    (library.photos / name).symlink_to("nowhere")
    (library.base / os.fsdecode(b"People\x1b]0;x\x07")).touch()
    library.people = library.base / os.fsdecode(b"People\x1b]0;x\x07")
    answer = run("doctor", "-v")
    assert "\x1b" not in answer.out
    assert "\x07" not in answer.out


def test_the_real_libraries_can_be_loaded() -> None:
    with environment.trying(NATIVE) as tries:
        [found] = environment.check_native(tries)
    assert found.severity == "ok"
    assert "dlib" in found.text
    # The wheel of opencv-python, which a plain `pip install` of facewatch takes, needs a libGL that servers lack.
    assert "cv2" in found.text
