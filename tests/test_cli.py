"""The command line: facts for programs, tables for people, clear words for mistakes, never a traceback."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from drawn import TWO_AND_A_STRANGER, Library

from facewatch import __version__
from facewatch.cli import main
from facewatch.cli.program import MODULES, facewatch


@pytest.fixture
def scanned(library: Library) -> Library:
    """Two people in two photos each, one stranger, one bad file."""
    library.draw_all(TWO_AND_A_STRANGER)
    (library.photos / "bad.jpg").write_bytes(b"no photo")
    library.scan()
    return library


COMMANDS = sorted(facewatch.commands)


def test_these_commands_are_a_promise() -> None:
    promised = {"init", "scan", "watch", "people", "why", "rename", "recluster", "folders", "export", "status", "demo"}
    assert promised <= set(COMMANDS)


def test_help_lists_every_command_once() -> None:
    from facewatch.called import SECTIONS

    assert sorted(name for names in SECTIONS.values() for name in names) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example:\n    facewatch {name}" in text
    for option in ("--quiet", "--verbose", "--catalog", "--people"):
        assert option in text


@pytest.mark.parametrize("name", ["people", "why", "scan", "status", "recluster", "folders", "export"])
def test_whatever_prints_facts_prints_json(name: str) -> None:
    assert any("--json" in p.opts for p in facewatch.commands[name].params if isinstance(p, click.Option))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"facewatch {__version__}\n"


def test_people_lists_who_was_found(scanned: Library, run: Any) -> None:
    rows = json.loads(run("people", "--json").out)
    promised = {"id", "name", "faces", "photos", "folder", "is_named", "is_hidden", "born", "cover"}
    assert [set(row) for row in rows] == [promised] * 2
    assert [(row["faces"], row["photos"]) for row in rows] == [(2, 2), (2, 2)]
    for row in rows:
        assert Path(row["folder"]).is_dir()
        assert row["name"] == f"Person {row['id']:04d}"
    table = run("people").out
    assert "Person 0001" in table
    assert "folder" in table


def test_export_is_one_row_a_face_with_the_promised_columns(scanned: Library, run: Any) -> None:
    text = run("export", "--csv").out
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == "path,face_id,person_id,name,x,y,w,h,distance,source,turn"
    assert len(rows) == 5
    assert {row["path"] for row in rows} == {str(scanned.photos / n) for n in ("a.png", "b.png", "sub/c.png")}
    [stranger] = [row for row in rows if not row["person_id"]]
    assert (stranger["name"], stranger["distance"], stranger["source"]) == ("", "", "")
    assert (stranger["x"], stranger["y"], stranger["w"], stranger["h"]) == ("192", "32", "64", "64")
    as_json = json.loads(run("export", "--json").out)
    assert [{k: str(v) for k, v in row.items()} for row in as_json] == rows


def test_why_tells_every_face_of_a_photo(scanned: Library, run: Any) -> None:
    facts = json.loads(run("why", str(scanned.photos / "sub/c.png"), "--json").out)
    assert [face["name"] is None for face in facts["faces"]] == [False, True]
    table = run("why", str(scanned.photos / "sub/c.png")).out
    for word in ("face 1 from the left", "why", "looks like", "quality", "to change", "nobody"):
        assert word in table


def test_why_follows_a_link_of_the_people_folder(scanned: Library, run: Any) -> None:
    link = scanned.people / next(iter(scanned.tree()))
    assert run("why", str(link), "--json").code == 0


def test_why_finds_photos_of_a_library_that_is_reached_through_a_link(library: Library, run: Any) -> None:
    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 1))
    (library.base / "Shortcut").symlink_to(library.photos)
    library.scan(**{"library.photos": str(library.base / "Shortcut")})
    for path in (
        library.people / next(iter(library.tree())),
        library.base / "Shortcut" / "a.png",
        library.photos / "a.png",
    ):
        assert run("why", str(path)).code == 0


def test_why_of_an_unknown_photo_says_what_to_do(scanned: Library, run: Any) -> None:
    answer = run("why", "nowhere.jpg")
    assert answer.code == 9
    assert "nowhere.jpg: no such file" in answer.err
    assert "a folder" in run("why", str(scanned.photos)).err
    (scanned.photos / "new.png").write_bytes(b"x")
    assert "new.png: not in the catalog; `facewatch scan`" in run("why", str(scanned.photos / "new.png")).err


def test_why_of_a_bad_photo_tells_its_fault(scanned: Library, run: Any) -> None:
    assert "bad.jpg: " in run("why", str(scanned.photos / "bad.jpg")).out


def test_renaming_nobody_says_so(scanned: Library, run: Any) -> None:
    answer = run("rename", "nobody", "Anna")
    assert answer.code == 9
    assert "nobody is called 'nobody'; `facewatch people` lists everybody" in answer.err


def test_rename_says_what_it_did_and_where(scanned: Library, run: Any) -> None:
    answer = run("rename", "1", "Anna")
    assert answer.out == f"Person 0001 is now called Anna: 2 photos\n{scanned.people / 'Anna'}\n"
    assert run("rename", "an", "Anne", "--quiet").out == ""
    assert (scanned.people / "Anne").is_dir()


def test_rename_onto_a_taken_name_offers_the_merge(scanned: Library, run: Any) -> None:
    run("rename", "1", "Anna")
    answer = run("rename", "2", "Anna")
    assert answer.code == 9
    assert "facewatch rename 2 Anna --merge" in answer.err
    # Both were in a.png: a user may say that they are one all the same (a mirror, a collage).
    assert "is now part of Anna" in run("rename", "2", "Anna", "--merge").out


def test_folders_dry_run_shows_what_would_be_concluded_and_does_nothing(scanned: Library, run: Any) -> None:
    before = scanned.tree()
    link = scanned.people / next(iter(before))
    link.unlink()
    for _ in range(2):
        told = json.loads(run("folders", "--dry-run", "--json").out)
        assert told["changes"][0]["conclusions"][0]["meaning"] == "rejected"
        assert told["steps"] == []
    assert not link.is_symlink()
    run("folders", "--repair")
    assert scanned.tree() == before
    assert json.loads(run("folders", "--json").out)["steps"] == []


def test_recluster_dry_run_says_what_would_be(scanned: Library, run: Any) -> None:
    assert json.loads(run("recluster", "--dry-run", "--json").out)["n_new_people"] == 0


def test_status_lists_files_that_could_not_be_used(scanned: Library, run: Any) -> None:
    status = json.loads(run("status", "--json").out)
    assert status["n_photos"] == 3
    assert status["n_files"] == 4
    assert status["runner"] is None
    [fault] = status["faults"]
    assert fault["path"] == str(scanned.photos / "bad.jpg")
    text = run("status").out
    assert "bad.jpg" in text
    assert "what to do" in text


@pytest.mark.parametrize("command", ["status", "people", "export", "folders", "recluster"])
def test_before_the_first_scan_commands_say_how_to_begin_and_make_nothing(
    library: Library, run: Any, command: str
) -> None:
    answer = run(command)
    assert answer.code == 5
    assert f"{library.catalog}: no catalog yet; `facewatch scan PHOTOS` makes one" in answer.err
    assert sorted(path.name for path in library.base.iterdir()) == ["Photos"]


def test_what_is_known_can_be_asked_while_the_library_is_unplugged(scanned: Library, run: Any, tmp_path: Path) -> None:
    settings = tmp_path / "facewatch.toml"
    settings.write_text(f'[library]\nphotos = "{scanned.photos}"\n')
    scanned.photos.rename(tmp_path / "unplugged")
    for command in ("status", "people", "export", "folders", "recluster"):
        assert run(command, "--config", str(settings)).code == 0
    assert f"offline: {scanned.photos}" in run("status", "--config", str(settings)).out
    assert run("rename", "1", "Anna", "--config", str(settings)).code == 0
    assert run("scan", "--config", str(settings)).code == 4


def test_the_reference_in_the_current_folder_does_not_hide_the_users_settings(
    scanned: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["init", str(scanned.photos), "--people", str(scanned.people), "--catalog", str(scanned.catalog)])
    shutil.copy(Path(__file__).parent.parent / "facewatch.toml", scanned.base)
    monkeypatch.chdir(scanned.base)
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["settings"] == str(Path.home() / ".config" / "facewatch" / "facewatch.toml")
    assert status["n_photos"] == 3


def test_a_merge_with_nobody_is_a_typo(scanned: Library, run: Any) -> None:
    run("rename", "1", "Anna")
    answer = run("rename", "2", "Ana", "--merge")
    assert answer.code == 9
    assert "nobody is called 'Ana'; did you mean Anna?" in answer.err


def test_a_name_whose_folder_cannot_follow_says_that_it_stands(scanned: Library, run: Any) -> None:
    shutil.rmtree(scanned.people)
    scanned.people.write_text("in the way")
    answer = run("rename", "1", "Anna")
    assert answer.code == 8
    assert "it is decided, but the folders do not show it yet" in answer.err
    assert "Anna" in run("people").out


def test_hostile_file_names_are_harmless_everywhere(library: Library, run: Any) -> None:
    hostile = (
        b"new\nline\x1b[31m.png",
        b"\xff\xfe.png",
        "\u202egnp.exe.png".encode(),
        b"[bold]x.png",
        b'a,b"c.png',
    )
    for i, name in enumerate(hostile):
        library.draw(os.fsdecode(name), (1, i))
    library.scan()
    for command in (["people"], ["status"], ["export", "--json"], ["folders", "--dry-run"], ["status", "--json"]):
        answer = run(*command)
        assert answer.code == 0
        assert "\x1b[31m" not in answer.out
    assert len(library.tree()) == 5


def test_export_keeps_file_names_byte_by_byte(library: Library) -> None:
    names = {b"new\nline.png", b"\xff\xfe.png", b'a,b"c.png', b"\xc3\xa9.png"}
    for i, name in enumerate(names):
        library.draw(os.fsdecode(name), (1, i))
    library.scan()
    answer = subprocess.run(
        [sys.executable, "-P", "-m", "facewatch", "export", "--catalog", library.catalog],
        capture_output=True,
        check=True,
    )
    rows = csv.reader(io.StringIO(answer.stdout.decode(errors="surrogateescape"), newline=""))
    assert {os.fsencode(row[0]).rpartition(b"/")[2] for row in rows} == {*names, b"path"}


def test_a_reader_that_has_enough_is_no_error(scanned: Library) -> None:
    command = f"{sys.executable} -P -m facewatch export --catalog {scanned.catalog} | true"
    answer = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert answer.stderr == ""


def test_init_writes_a_settings_file_that_the_next_command_finds(
    library: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(library.base)
    assert main(["init", "Photos", "--people", "Folk", "--catalog", "c.sqlite", "--engine", "face_recognition"]) == 0
    written = capsys.readouterr().out.splitlines()[0].removeprefix("wrote ")
    assert written == str(Path.home() / ".config" / "facewatch" / "facewatch.toml")
    assert main(["status", "--json"]) == 5
    assert "no catalog yet; `facewatch scan` makes one" in capsys.readouterr().err
    library.scan(**{"library.catalog": str(library.base / "c.sqlite"), "library.people": str(library.base / "Folk")})
    assert main(["status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["settings"] == written
    assert status["people_folder"] == str(library.base / "Folk")
    assert status["catalog"] == str(library.base / "c.sqlite")
    assert main(["init", "Photos"]) == 3
    assert "is there already; edit it, or write over it with --force" in capsys.readouterr().err
    assert main(["--config", "mine.toml", "init", "Photos"]) == 0
    assert (library.base / "mine.toml").is_file()


def test_init_refuses_what_a_scan_would_refuse(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(library.photos), "--people", str(library.photos / "People")]) == 3
    assert "must lie beside the photos" in capsys.readouterr().err
    assert main(["init", str(library.base / "none")]) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["scan"], 4, "no library is known; name your photo folder: facewatch scan ~/Pictures"),
        (
            ["scan", "/does/not/exist"],
            4,
            "/does/not/exist: does not exist; plug its drive in, or name your photo folder",
        ),
        (["watch"], 4, "no library is known"),
        (["scan", "--engine", "magic", "."], 3, "engine.name = 'magic': must be"),
        (["rename", "1"], 2, "Missing argument 'NEW'"),
        (["recluster", "--method", "magic"], 2, "'magic' is not one of"),
        (["dance"], 2, "there is no command 'dance'"),
        (["--config", "none.toml", "people"], 3, "none.toml: 1 problem\n- there is no such file"),
    ],
)
def test_mistakes_get_a_clear_word_and_a_documented_exit_code(
    run: Any, arguments: list[str], code: int, words: str
) -> None:
    answer = run(*arguments)
    assert answer.code == code
    assert words in answer.err
    assert "Traceback" not in answer.err


def test_a_settings_file_with_faults_is_reported_as_a_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "facewatch.toml"
    file.write_text('[library]\nphotis = "x"\n[watch]\npoll = 3\n')
    assert main(["--config", str(file), "people"]) == 3
    error = capsys.readouterr().err
    assert "2 problems" in error
    assert "did you mean library.photos?" in error


def test_a_damaged_catalog_is_named(library: Library, run: Any) -> None:
    library.catalog.parent.mkdir()
    library.catalog.write_bytes(b"rubbish " * 1000)
    answer = run("people")
    assert answer.code == 5
    assert f"facewatch: {library.catalog}: damaged" in answer.err


def test_python_m_facewatch_is_the_same_program(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-P", "-m", "facewatch", "--version"], capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"facewatch {__version__}\n"


def test_help_does_not_load_models_or_arrays() -> None:
    heavy = "sorted({'numpy', 'dlib', 'PIL'} & set(sys.modules))"
    code = f"import sys; from facewatch.cli import main; main(['--help']); print({heavy})"
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


def test_a_command_does_not_load_the_others() -> None:
    code = "import sys; from facewatch.cli import main; main(['undo', '--help']); print(list(sys.modules))"
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    loaded = {f"facewatch.cli.{name}" for name in ("asking", "corrections", "output", "program")}
    assert "facewatch.cli.corrections" in answer.stdout.splitlines()[-1]
    assert set(re.findall(r"facewatch\.cli\.\w+", answer.stdout.splitlines()[-1])) <= loaded


def test_every_command_is_found_in_the_module_that_adds_it() -> None:
    added: dict[str, set[str]] = {}
    for name, command in facewatch.commands.items():
        for one in (command, *getattr(command, "commands", {}).values()):
            added.setdefault(one.callback.__module__.removeprefix("facewatch.cli."), set()).add(name)
    assert {module: {*names} for module, names in MODULES.items()} == added


def test_a_decision_does_not_load_what_only_grouping_needs() -> None:
    code = "import sys, facewatch.app, facewatch.cli; print(sorted({'scipy', 'dlib', 'PIL'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


def test_a_scan_that_finds_nothing_new_loads_no_network_and_no_decoder(library: Library) -> None:
    library.draw("anna.png", (1, 0))
    heavy = "{'scipy', 'dlib', 'PIL', 'cv2', 'onnx', 'onnxruntime', 'insightface', 'sklearn', 'facewatch.decode'}"
    words = ["scan", "--json", str(library.photos), "--catalog", str(library.catalog), "--people", str(library.people)]
    code = f"import sys; from facewatch.cli import main; main({words}); print(sorted({heavy} & set(sys.modules)))"
    for n_new in (1, 0):
        answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
        said, _, loaded = answer.stdout.rstrip("\n").rpartition("\n")
        assert json.loads(said)["n_new"] == n_new
        assert loaded == "[]"


def test_a_fault_of_our_own_is_one_line_and_with_vv_the_whole_story(
    library: Library, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("oops")

    library.scan()
    monkeypatch.setattr("facewatch.folders.sync.PeopleFolder._plan", broken)
    answer = run("folders")
    assert answer.code == 1
    assert answer.err.startswith("facewatch: a fault of facewatch itself: KeyError: 'oops' (")
    assert "Traceback" not in answer.err
    assert "Traceback" in run("folders", "-vv").err


def test_a_scan_after_a_new_way_of_seeing_does_not_name_one_engine_as_two(scanned: Library, run: Any) -> None:
    with scanned.app() as app, app.catalog.write():
        app.catalog._db.execute("UPDATE engines SET fingerprint = 'as it was before'")
    said = run("scan").out
    assert "fake sees faces in a new way now; names and decisions stay" in said
    assert "until now it was" not in said


@pytest.mark.parametrize(
    ("command", "instead"),
    [(["export", "Out"], "use --person Anna"), (["photos", "2019"], "a person is named without an option")],
)
def test_a_person_where_the_people_folder_is_named_is_refused(
    family: Library,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    instead: str,
) -> None:
    with family.app() as app, app.corrections.deciding() as decisions:
        decisions.rename("p1", "Anna")
    monkeypatch.chdir(family.base)
    arguments = [*command, "--catalog", str(family.catalog), "--people", "Anna"]
    assert main(arguments) == 2
    assert instead in " ".join(capsys.readouterr().err.split())
    assert not (family.base / "Out").exists()
    (family.base / "Anna").mkdir()
    main(arguments)
    assert instead not in " ".join(capsys.readouterr().err.split())
