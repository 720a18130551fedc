"""The program on the PATH: how it is found, what it calls itself, and where words lead that are no commands."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from drawn import Library

from facewatch.called import (
    GIVEN,
    SECOND_WORDS,
    SECTIONS,
    VARIABLE,
    as_called,
    called_from_anywhere,
    how_called,
    options_given,
)
from facewatch.cli import main
from facewatch.cli.evaluate import engine_of_catalog
from facewatch.cli.program import MEANT, MEANT_OF_MODELS, MEANT_OF_SERVICE, facewatch
from facewatch.config import load_config
from facewatch.evaluation.labelled import looks_like_album, read_labels
from facewatch.heartbeat import (
    Activity,
    Backlog,
    Heartbeat,
    HeartbeatFile,
    WatchedLibraries,
    heartbeat_file_of,
)
from facewatch.logs import JsonFormatter, PlainFormatter

ROOT = Path(__file__).resolve().parent.parent


# --- scripts/facewatch, through links ---


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose interpreter says how it was called."""
    root = tmp_path / "src" / "face watch"
    (root / "scripts").mkdir(parents=True)
    (root / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "facewatch", root / "scripts")
    for name, text in (
        ("scripts/setup", '[ "$1" = requirements.lock ]'),
        (".venv/bin/python", f'printf "%s\\n" "${VARIABLE}" "$@"'),
    ):
        (root / name).write_text(f"#!/bin/sh\n{text}\n")
        (root / name).chmod(0o755)
    return root


def call(*words: str | Path, cwd: Path, path: Path | None = None) -> list[str]:
    """Return what the interpreter said: how it was called, and its arguments."""
    environment = os.environ | ({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


ARGUMENTS = ["-P", "-m", "facewatch", "people"]


@pytest.mark.parametrize("called", ["scripts/facewatch", "./scripts/facewatch", "scripts/../scripts/facewatch"])
def test_the_script_runs_from_its_checkout(checkout: Path, called: str) -> None:
    assert call(called, "people", cwd=checkout) == [called, *ARGUMENTS]


@pytest.mark.parametrize("kind", ["absolute", "relative", "chain", "to a folder"])
def test_the_script_runs_through_links(checkout: Path, tmp_path: Path, kind: str) -> None:
    script, binaries = checkout / "scripts" / "facewatch", tmp_path / "home" / "bin"
    binaries.mkdir(parents=True)
    link = binaries / "facewatch"
    if kind == "absolute":
        link.symlink_to(script)
    elif kind == "relative":
        link.symlink_to("../../src/face watch/scripts/facewatch")
    elif kind == "chain":
        (tmp_path / "home" / "second").symlink_to(script)
        (tmp_path / "first").symlink_to("home/second")
        link.symlink_to("../../first")
    else:
        binaries.rmdir()
        binaries.symlink_to(script.parent)
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    assert call(link, "people", cwd=elsewhere) == [str(link), *ARGUMENTS]
    assert call("facewatch", "people", cwd=elsewhere, path=binaries) == [str(link), *ARGUMENTS]


def test_the_script_runs_under_a_plain_shell(checkout: Path, tmp_path: Path) -> None:
    scripts = checkout / "scripts"
    assert call("sh", "facewatch", "people", cwd=scripts) == ["./facewatch", *ARGUMENTS]
    assert call("sh", "scripts/facewatch", "a  b", "", cwd=checkout) == [
        "scripts/facewatch",
        *ARGUMENTS[:3],
        "a  b",
        "",
    ]
    assert call("bash", "facewatch", "people", cwd=tmp_path, path=scripts) == [str(scripts / "facewatch"), *ARGUMENTS]


def test_the_script_asks_readlink_for_nothing_that_an_old_macos_has_not(checkout: Path, tmp_path: Path) -> None:
    tools, link = tmp_path / "tools", tmp_path / "fw"
    tools.mkdir()
    (tools / "readlink").write_text(f'#!/bin/sh\n[ $# = 1 ] && exec {shutil.which("readlink")} "$1"\n')
    (tools / "readlink").chmod(0o755)
    link.symlink_to(checkout / "scripts" / "facewatch")
    assert call(link, "people", cwd=tmp_path, path=tools) == [str(link), *ARGUMENTS]


# --- what it calls itself ---


@contextmanager
def called(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, name)
        yield


def test_it_calls_itself_as_it_was_called(tmp_path: Path) -> None:
    script = tmp_path / "my bin" / "facewatch"
    script.parent.mkdir()
    script.touch(mode=0o755)
    away, there = {"PATH": "/nowhere"}, {"PATH": f"/nowhere:{script.parent}"}
    module = "/site/facewatch/__main__.py"

    assert how_called(there, [str(script)], []) == "facewatch"
    assert how_called(away, [str(script), "scan"], []) == f"'{script}'"
    assert how_called(away, ["bin/facewatch"], []) == "bin/facewatch"
    assert how_called(away | {VARIABLE: str(script)}, [module], []) == f"'{script}'"
    assert how_called(there | {VARIABLE: str(script)}, [module], []) == "facewatch"
    python = ["python3", "-P", "-m", "facewatch", "scan", "a b"]
    assert how_called(away, [module, *python[4:]], python) == "python3 -P -m facewatch"
    assert how_called(away, [module], ["/my env/python", "-m", "facewatch"]) == "'/my env/python' -m facewatch"
    docker = "docker compose exec facewatch facewatch"
    assert how_called(away | {VARIABLE: docker}, [module], []) == docker
    assert how_called(away, ["-c"], []) == "facewatch"


@pytest.mark.parametrize(
    "text",
    [
        "{} scan PHOTOS finds them",
        "`{} restore BACKUP` puts it back; `{} status` tells",
        "next: {} people, then {} rename ID NAME",
        "Try '{} -h' for help.\nUsage: {} [OPTIONS] COMMAND",
        "($ {} people)",
        "{}\n  models lists them",
        "facewatch: no library; {} init ~/Pictures",
        "facewatch itself works, facewatch is at work, facewatch watched, a facewatch that did not say",
        "/home/me/facewatch scan/a.jpg, my-facewatch people, facewatch status.jpg, facewatch people/x",
    ],
)
def test_commands_in_a_text_are_as_called_and_nothing_else_is(text: str) -> None:
    plain = text.replace("{}", "facewatch")
    assert as_called(plain) == plain
    for name in ("scripts/facewatch", "python -m facewatch", r"'/a\1 b/facewatch'"):
        with called(name):
            assert as_called(plain) == text.replace("{}", name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("people", "`{} scan PHOTOS` makes one"),
        ("--help", "    {} people "),
        ("scan --help", "`{} models` lists the packs"),
        ("models verify --help", "Usage: {} models verify [OPTIONS]"),
        ("asign", "Try '{} --help' for help."),
    ],
)
def test_help_hints_and_errors_say_how_it_was_called(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with called("scripts/facewatch"):
        main(arguments.split())
    shown = " ".join("".join(capsys.readouterr()).split("\n  "))
    assert said.format("scripts/facewatch").strip() in re.sub(" +", " ", shown)
    assert said.format("facewatch") not in shown


def test_help_shows_a_long_path_once_and_its_examples_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/home/somebody/programs/facewatch/scripts/facewatch"
    with called(path):
        for arguments in ([], ["assign"], ["models", "fetch"]):
            main([*arguments, "--help"])
            shown = capsys.readouterr().out
            assert shown.startswith("Usage: " + " ".join([path, *arguments]))
            assert shown.count(path) == 1
            assert "\n    facewatch " in shown
            assert all(len(line) <= 80 for line in shown.split("\n")[1:])


def test_the_log_says_how_it_was_called_and_to_programs_what_they_know() -> None:
    record = logging.LogRecord("facewatch", logging.ERROR, "", 0, "damaged: `facewatch restore %s`", ("b",), None)
    with called("scripts/facewatch"):
        assert PlainFormatter("%(message)s").format(record) == "damaged: `scripts/facewatch restore b`"
        assert "`facewatch restore b`" in JsonFormatter().format(record)


@pytest.mark.parametrize("name", ["python -m facewatch", "scripts/facewatch"])
def test_a_real_process_says_how_it_was_called(name: str, tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-m", "facewatch"] if name.startswith("python") else [name]
    environment = os.environ | ({VARIABLE: str(ROOT / name)} if name.startswith("scripts") else {})
    command = [sys.executable, "-P", "-m", "facewatch", "people", "--catalog", str(tmp_path / "c.sqlite")]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 5
    program = " ".join(words) if name.startswith("python") else str(ROOT / name)
    assert f"`{program} --catalog {tmp_path / 'c.sqlite'} scan PHOTOS`" in done.stderr


def test_what_it_names_works_on_what_it_was_given() -> None:
    arguments = ["scan", "Photos", "--catalog", "my photos.sqlite", "-q", "--people=P", "--", "--config", "x"]
    assert options_given(arguments) == "--catalog 'my photos.sqlite' --people P"
    assert options_given(["people", "--json"]) == ""
    assert options_given(["--catalog"]) == "--catalog ''"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(GIVEN, "--catalog 'my photos.sqlite'")
        assert as_called("next: facewatch review") == "next: facewatch --catalog 'my photos.sqlite' review"
        assert as_called("a facewatch that did not say") == "a facewatch that did not say"
        there = "facewatch review --catalog other.sqlite"
        assert as_called(there) == there, "where it says on what"


@pytest.mark.parametrize(
    ("typed", "short"),
    [
        ("/home/me/albums/my photos/c.sqlite", "'my photos/c.sqlite'"),
        ("/home/me/albums//c.sqlite", "c.sqlite"),
        ("/home/me/my catalog.sqlite", "~/'my catalog.sqlite'"),
        ("/home/me/albums/-c.sqlite", "~/albums/-c.sqlite"),
        ("/home/me/albums", "~/albums"),
        ("/home/melanie/c.sqlite", "/home/melanie/c.sqlite"),
        ("/home/me", "/home/me"),
        ("c.sqlite", "c.sqlite"),
        ("~me/c.sqlite", "'~me/c.sqlite'"),
    ],
)
def test_the_options_that_are_repeated_are_short_and_mean_the_same_to_a_shell(typed: str, short: str) -> None:
    arguments = ["--catalog", typed]
    assert options_given(arguments, folder="/home/me/albums", home="/home/me") == f"--catalog {short}"
    assert options_given(arguments, folder="/", home="") == f"--catalog {shlex.quote(typed)}"
    shell = f"cd /; HOME=/home/me; printf %s {short}"
    said = subprocess.run(["sh", "-c", shell], check=True, capture_output=True, text=True).stdout
    assert os.path.normpath(f"/home/me/albums/{said}" if not said.startswith("/") else said) == os.path.normpath(
        typed if typed.startswith("/") else f"/home/me/albums/{typed}"
    )


def test_help_is_the_same_whatever_it_works_on(capsys: pytest.CaptureFixture[str]) -> None:
    main(["scan", "--help"])
    plain = capsys.readouterr().out
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(GIVEN, "--catalog x.sqlite")
        main(["scan", "--help"])
    assert capsys.readouterr().out == plain


def literals(node: ast.AST) -> str:
    """Return the text that stands in code, with a mark where a value will."""
    return "\x00".join(str(n.value) for n in ast.walk(node) if isinstance(n, ast.Constant))


def test_no_hint_leaves_past_the_door_that_says_how_it_was_called() -> None:
    calls = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "facewatch" / "cli").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("click.echo", "print")
        if has_command(literals(node))
    ]
    assert not calls, "output.echo says it as it was called, click.echo does not"


def has_command(text: str) -> bool:
    with called("another name"):
        return as_called(text) != text


def test_a_hint_past_the_door_would_be_seen() -> None:
    assert has_command(literals(ast.parse('click.echo(f"{n} open: facewatch review asks")')))
    assert not has_command(literals(ast.parse('click.echo(f"facewatch: {error}")')))


def test_the_service_says_it_so_that_it_can_be_typed_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert called_from_anywhere() == {}
    for name, there in (
        ("facewatch", "facewatch"),
        ("scripts/facewatch", f"{tmp_path}/scripts/facewatch"),
        ("bin/python -m facewatch", f"{tmp_path}/bin/python -m facewatch"),
    ):
        with called(name):
            assert called_from_anywhere() == {VARIABLE: there}


def test_compose_has_it_say_what_is_typed_outside() -> None:
    assert f"{VARIABLE}: docker compose exec facewatch facewatch " in (ROOT / "compose.yaml").read_text()
    assert f"{VARIABLE}=facewatch " in (ROOT / "Dockerfile").read_text()


# --- other words ---


def said_to(arguments: str, run: Any) -> str:
    answer = run(*arguments.split())
    assert answer.code == 2
    return str(answer.err).split("Error: ")[1]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("list", "facewatch people"),
        ("ls", "facewatch people"),
        ("config", "facewatch.toml"),
        ("settings", "facewatch init"),
        ("start", "facewatch service install"),
        ("stop", "facewatch pause"),
        ("delete Anna", "facewatch forget WHO"),
        ("label 12 Anna", "facewatch rename WHO NAME"),
        ("cluster", "facewatch recluster"),
        ("version", "facewatch --version"),
        ("Find a.jpg", "facewatch search PHOTO"),
        ("lst", "facewatch people"),
        ("scna", "did you mean `facewatch scan`?"),
        ("SCAN", "did you mean `facewatch scan`?"),
        ("asign", "did you mean `facewatch assign`?"),
        ("hist", "did you mean `facewatch history`?"),
        ("help wacth", "did you mean `facewatch watch`?"),
        ("xyzzy", "facewatch help"),
        ("service start", "facewatch service install"),
        ("service instal", "did you mean `facewatch service install`?"),
        ("models download", "facewatch models fetch PACK"),
        ("help models verfiy", "did you mean `facewatch models verify`?"),
    ],
)
def test_a_word_that_is_no_command_leads_to_the_one_that_is_meant(typed: str, meant: str, run: Any) -> None:
    assert meant in said_to(typed, run)


def test_a_photo_a_folder_or_an_id_leads_to_the_commands_that_take_it(run: Any, tmp_path: Path) -> None:
    folder, photo = tmp_path / "my photos", tmp_path / "a.jpg"
    folder.mkdir()
    photo.touch()

    def said(word: Path | str) -> str:
        answer = run(str(word))
        assert answer.code == 2
        return str(answer.err)

    assert f"`facewatch scan '{folder}'` scans it" in said(folder)
    assert f"`facewatch why {photo}` says who is on it" in said(photo)
    assert "`facewatch why f11` explains a face" in said("f11")
    assert "`facewatch rename p11 NAME` names a person" in said("P11")
    assert "`facewatch rename p11 NAME` names a person, `facewatch why f11` explains a face" in said("11")


def test_every_word_leads_to_commands_that_exist() -> None:
    groups = {"": facewatch, **{name: command for name, command in facewatch.commands.items()}}
    for words, group in ((MEANT, ""), (MEANT_OF_SERVICE, "service"), (MEANT_OF_MODELS, "models")):
        commands = groups[group].commands  # type: ignore[attr-defined]
        assert not set(words) & {*commands, *SECOND_WORDS, "help"}, "a word that is a command leads nowhere else"
        for hint in words.values():
            assert as_called_words(hint) <= set(facewatch.commands) | {"help"}
    assert set(SECOND_WORDS.values()) <= {name for names in SECTIONS.values() for name in names}


def as_called_words(hint: str) -> set[str]:
    """Return the commands that a hint names."""
    parts = hint.split("`facewatch ")[1:]
    return {word for part in parts if not (word := part.split("`")[0].split()[0]).startswith("-")}


@pytest.mark.parametrize("command", ["rename", "models fetch", "service"])
def test_help_of_a_command_is_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", *command.split()]) == 0
    shown = capsys.readouterr().out
    assert main([*command.split(), "--help"]) == 0
    assert shown == capsys.readouterr().out
    assert main(["help"]) == 0
    listed = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert listed == capsys.readouterr().out


def test_name_is_a_second_word_for_rename(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "name"]) == 0
    assert capsys.readouterr().out.startswith("Usage: facewatch rename [OPTIONS] WHO NEW")


# --- what else leads to what was meant ---


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("buffalo_sc_dq", "insightface:buffalo_sc_dq"),
        ("buffalo_l", "insightface:buffalo_l"),
        ("/packs/mine", "insightface:/packs/mine"),
        ("InsightFace:buffalo_l", "insightface:buffalo_l"),
        ("insightface/buffalo_l", "insightface:buffalo_l"),
        ("insighface: buffalo_l", "insightface:buffalo_l"),
        ("insightface", "insightface:buffalo_l"),
        ("face-recognition", "face_recognition"),
        ("Face_Recognition", "face_recognition"),
        ("facerecognition", "face_recognition"),
        ("dlib", "face_recognition"),
    ],
)
def test_an_engine_that_is_nearly_right_is_answered_with_the_one_that_is_meant(
    typed: str, meant: str, library: Library, run: Any
) -> None:
    answer = run("scan", str(library.photos), "--engine", typed)
    assert answer.code == 3
    assert f"; did you mean {meant}? (`facewatch models`" in answer.err


def test_a_slip_in_a_pack_an_option_a_choice_a_setting_or_a_person_is_answered_with_the_nearest(
    library: Library, run: Any, tmp_path: Path
) -> None:
    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 1))
    library.scan()
    assert "did you mean buffalo_l?" in run("scan", str(library.photos), "--engine", "insightface:bufalo_l").err
    assert "Did you mean '--dry-run'?" in run("recluster", "--dryrun").err
    assert "Did you mean 'whispers'?" in run("recluster", "--method", "wispers").err
    assert "Did you mean 'hdbscan'?" in run("evaluate", str(library.photos), "--method", "HDBSCN").err
    settings = tmp_path / "facewatch.toml"
    settings.write_text("[engine]\nnmae = 'face_recognition'\n")
    assert "did you mean engine.name?" in run("people", "--config", str(settings)).err
    [person] = json.loads(run("people", "--json").out)
    assert run("name", str(person["id"]), "Theodora").code == 0
    assert "did you mean Theodora?" in run("hide", "Theodra").err
    run("name", "Theodora", "Jürgen Müller-Lüdenscheidt")
    for typed in ("jurgen", "Muller-Ludenscheid", "Jügren", "Mueller-Lüdenscheidt"):
        assert "did you mean Jürgen Müller-Lüdenscheidt?" in run("hide", typed).err
    assert "did you mean" not in run("hide", "Egon").err
    slip = library.photos.with_name(library.photos.name.upper() + "s")
    assert f"does not exist; did you mean {library.photos}? Else plug its drive in" in run("scan", str(slip)).err


def test_names_that_look_like_an_album_are_told_from_people() -> None:
    albums = (
        *("2019", "1998", "2019-07", "2019_07_14", "20190714", "2019.07.14 Beach"),
        *("2019 Italy", "2019-Q3", "14.07.2019"),
        *("July 2019", "Juli 2019", "14 July 2019", "Sept. 2020", "DCIM", "100CANON", "Camera Roll"),
    )
    people = (
        *("Anna", "Anna 2019", "Maria 2001", "Julia 2003", "April", "May", "Jan", "June Carter", "007", "12", "1234"),
        *("0000045", "3019", "20191", "n000123", "Agent 2000", "Mark 1999", "2019er", "100", "Camera Lady"),
    )
    assert [name for name in albums if not looks_like_album(name)] == []
    assert [name for name in people if looks_like_album(name)] == []


def draw_folders(library: Library, *names: str) -> str:
    for number, name in enumerate(names):
        for take in range(2):
            library.draw(f"{name}/{take}.png", (number, take))
    return str(library.photos)


def test_evaluate_refuses_folders_of_years_and_says_what_to_do(library: Library, run: Any) -> None:
    answer = run("evaluate", draw_folders(library, "2018", "2019-07 Beach", "Anna"))
    assert answer.code == 4
    assert (
        "its folders are called like dates or a camera's folders (2018, 2019-07 Beach), not like people" in answer.err
    )
    assert "a folder per person" in answer.err
    # One that some of the people share with a year is told, and counts as it did.
    with caplog_at_warning() as lines:
        assert len(read_labels(Path(draw_folders(library, "Ben", "Cleo", "Dora"))).photos_of()) == 6
    assert [line for line in lines if "2018, 2019-07 Beach: taken for the name of a person" in line]


@contextmanager
def caplog_at_warning() -> Iterator[list[str]]:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, logger = Keep(logging.WARNING), logging.getLogger("facewatch.evaluation.labelled")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def test_evaluate_measures_the_engine_in_use(library: Library, tmp_path: Path) -> None:
    library.draw("a.png", (1, 0))
    library.scan()

    def engine_of(settings: str = "") -> str | None:
        file = tmp_path / "settings.toml"
        file.write_text(settings)
        return engine_of_catalog(load_config(file, {"library.catalog": str(library.catalog)}, cwd=tmp_path))

    before = library.catalog.read_bytes()
    assert engine_of() == "fake"
    # The service takes the one of the settings by itself.
    assert engine_of("[engine]\nname = 'face_recognition'\n") is None
    assert library.catalog.read_bytes() == before
    library.catalog.write_bytes(b"no catalog at all" * 100)
    assert engine_of() is None


def test_a_scan_while_the_watcher_works_says_that_it_does_just_that(library: Library, run: Any) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    photos, now = str(library.photos), datetime.now(UTC).isoformat()
    live = Heartbeat(
        pid=os.getpid(),
        told_at=now,
        activity=Activity.INDEXING,
        doing="analysing photos",
        backlog=Backlog(n_waiting=3, n_done=2),
        libraries=WatchedLibraries(last_look={photos: now}),
    )

    def said(*arguments: str, kind: str = "watch", **facts: Any) -> str:
        with library.app() as app, app.pipeline.running(kind):
            HeartbeatFile(heartbeat_file_of(library.catalog)).write(Heartbeat.from_json(live.as_json() | facts))
            answer, second = run("scan", *arguments), run("watch") if not arguments else None
        assert answer.code == 6
        # So does another watcher.
        assert second is None or second == answer
        return str(answer.err)

    me = f"(process {os.getpid()})"
    assert f"the watcher {me} does just that: analysing photos; 3 files to analyse, 2 done. What is new is" in said()
    idle = {"activity": "idle", "doing": "idle"}
    assert "does just that: there is nothing to do at the moment. What" in said(photos, **idle, n_waiting=0)
    assert "does just that: 3 files to analyse, 2 done. What" in said(photos, **idle)
    paused = said(activity="paused", doing="paused", n_waiting=0)
    assert "is running, and paused: `facewatch resume` lets it continue" in paused
    assert "says nothing since" in said(told_at="2026-01-01T00:00:00Z")
    assert "a scan is running already" in said(kind="scan")
    # What it does not do is not said to be done.
    other = library.photos.parent / "Other"
    other.mkdir()
    assert f"was started without {other}: put it into its settings, or stop the watcher" in said(str(other))
    assert "was started without --new-drive" in said("--new-drive")
    assert "was started without --engine" in said("--engine", "face_recognition")
