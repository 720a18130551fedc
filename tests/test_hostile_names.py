"""Names that somebody chose to do harm: they are kept as they are, and harm no terminal, no log and no disk."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st

from facewatch.errors import NotKnownError
from facewatch.folders.model import MARKER, N_CANDIDATES, UNNAMED, fits_folder, folder_names, link_names, safe_name

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
"""What turns the direction in which text is read, so that "gpj.exe" reads "exe.jpg"."""

NAMES = {
    "newline": b"new\nline: 12 faces",
    "carriage return": b"one\rtwo",
    "tab": b"a\tb",
    "escape": b"\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "one-byte escape": "\x9b31m".encode(),
    "bell and delete": b"\x07\x08\x7f",
    "direction": f"holiday{BIDI}gnp".encode(),
    "invisible": "a\u200b\ufeff\u00ad\U000e0041b".encode(),
    "line separators": "a\u2028b\u2029c\x85d".encode(),
    "invalid UTF-8": b"\xff\xfe\xc3(\xf0\x9f",
    "a surrogate in UTF-8": b"\xed\xa0\x80",
    "option": b"-rf",
    "more options": b"--help",
    "dots": b"a.. .",
    "up": b"%2e%2e%2f..",
    "quotes": b"'\"`$(touch x)`;&|<>*?\\",
    "markup": b"[red]bold[/red] :smile: {0} %s %(name)s",
    "formula": b"=1+1",
    "spaces": "  \u3000 ".encode(),
    "unnamed": b"_unnamed",
    "a person": b"Person 0001",
    "long": b"x" * 240,
    "long and wide": "日".encode() * 80,
    "undecodable and long": b"\xff" * 240,
}
"""Names of files (with ".png") and of the folders that they are in; 244 bytes are the longest."""


def is_harmless(text: str) -> bool:
    """Whether a terminal shows this and obeys nothing in it; lines are as many as they should be."""
    shown = text.replace("\n", "").translate(dict.fromkeys(map(ord, "\u200c\u200d\u3000\u00a0")))
    return shown.isprintable()


def names() -> Iterable[str]:
    return (os.fsdecode(name) for name in NAMES.values())


@pytest.fixture
def hostile(library: Library) -> Library:
    """Two people in a photo of each name, in a folder of that name, and one broken file of each."""
    for look, name in enumerate(names()):
        library.draw(f"{name}/{name}.png", (1, look), (2, look))
        (library.photos / name / f"{name}.jpg").write_bytes(b"no photo")
    return library


@pytest.fixture
def scanned(hostile: Library) -> Library:
    hostile.scan()
    return hostile


def photos(library: Library) -> list[str]:
    """Return the paths of all photos, as the disk has them."""
    return sorted(f"{library.photos}/{name}/{name}.png" for name in names())


def test_all_of_them_are_found_and_linked_to_the_right_photo(scanned: Library) -> None:
    by_folder: dict[str, set[str]] = {}
    for path in scanned.people.rglob("*"):
        if path.is_symlink():
            by_folder.setdefault(path.parent.name, set()).add(os.path.realpath(path))
    assert by_folder == {"Person 0001": set(photos(scanned)), "Person 0002": set(photos(scanned))}


def test_links_and_folders_have_names_that_can_be_seen(scanned: Library) -> None:
    for path in scanned.people.rglob("*"):
        assert path.name.isprintable()
        assert len(os.fsencode(path.name)) <= 255
        assert path.name == safe_name(path.name) or path.name == MARKER


def test_a_run_that_says_everything_writes_harmless_lines(hostile: Library) -> None:
    """With the worker processes that analyse the photos; the squares are no faces to a real engine."""
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "facewatch", "scan", hostile.photos, "-vv"),
            *("--catalog", hostile.catalog, "--people", hostile.people),
        ],
        capture_output=True,
        check=True,
        cwd=hostile.base,
    )
    for text in (done.stdout, done.stderr):
        assert is_harmless(text.decode())
    lines = done.stderr.decode().split("\n")
    assert len([line for line in lines if ".png: 0 face" in line]) == len(NAMES), "each photo has one line"


COMMANDS = [
    "status",
    "people",
    "history",
    "folders --dry-run",
    "folders",
    "engines",
    "stats",
    "recluster",
    "audit",
    "scan",
]


def test_commands_print_harmless_lines_and_json_that_can_be_read(scanned: Library, run: Any) -> None:
    for person, name in ((1, f"An\x1b[31mna{BIDI}\n"), (1, f"Anna{BIDI}"), (2, "_unnamed")):
        run("rename", str(person), name)
    for command in COMMANDS:
        if command == "audit":  # there is something to be told then
            (scanned.photos / os.fsdecode(NAMES["newline"])).rename(scanned.photos / "elsewhere")
        for arguments in (command.split(), [*command.split(), "--json"]):
            answer = run(*arguments)
            assert answer.code == (1 if command == "audit" else 0), arguments
            assert is_harmless(answer.out), arguments
            assert is_harmless(answer.err), arguments
        assert answer.out.isascii()
        json.loads(answer.out)


def test_each_photo_can_be_asked_for_by_its_own_name(scanned: Library, run: Any) -> None:
    for path in photos(scanned):
        broken, gone = path.removesuffix(".png") + ".jpg", path + "x"
        for arguments in (["why", path], ["why", broken], ["why", gone], ["search", path]):
            answer = run(*arguments)
            assert is_harmless(answer.out), arguments
            assert is_harmless(answer.err), arguments
        answer = run("why", path, "--json")
        assert answer.out.isascii()
        assert json.loads(answer.out)["path"] == path


def test_exported_json_has_the_true_names_and_no_byte_that_a_terminal_obeys(scanned: Library, run: Any) -> None:
    answer = run("export", "--json")
    assert is_harmless(answer.out)
    assert answer.out.isascii()
    assert sorted({row["path"] for row in json.loads(answer.out)}) == photos(scanned)


def test_exported_csv_has_the_true_names(scanned: Library) -> None:
    """As bytes: it is for a file or another program, and undecodable names are in it as they are."""
    out = subprocess.run(
        [sys.executable, "-P", "-m", "facewatch", "export", "--csv", "--catalog", scanned.catalog],
        capture_output=True,
        check=True,
    ).stdout
    rows = csv.DictReader(io.StringIO(out.decode("utf-8", "surrogateescape"), newline=""))
    assert sorted({row["path"] for row in rows}) == photos(scanned)


def test_people_of_any_name_stay_in_the_people_folder(scanned: Library, run: Any) -> None:
    def elsewhere() -> set[Path]:
        inside = (scanned.people, scanned.catalog.parent)
        return {path for path in scanned.base.rglob("*") if not path.is_relative_to(inside[0])} - {*inside[1].iterdir()}

    before = elsewhere()
    for name in [
        "..",
        ".",
        "/",
        "a/../../b",
        UNNAMED,
        MARKER,
        f"x{BIDI}y",
        "\x1b[31m",
        "a\nb",
        "x" * 400,
        "日" * 80,
        " ",
    ]:
        answer = run("rename", "1", name)
        assert answer.code in (0, NotKnownError.exit_code), name
        assert is_harmless(answer.out), name
        assert is_harmless(answer.err), name
        assert elsewhere() == before, name
        assert len(scanned.tree()) == 2 * len(NAMES), name
        assert json.loads(run("folders", "--dry-run", "--json").out)["steps"] == [], name


# The law -------------------------------------------------------------------------------------------------------------

any_text = st.one_of(
    st.text(st.characters(), max_size=400),
    st.text(st.sampled_from(f"./\\\0\n\r\x1b {BIDI}\ud800\udcff\u200d\u0301é日a"), max_size=400),
    st.sampled_from(["..", ".", "/", "\0", "...", "", "x" * 400, "日" * 400, "\udcff" * 400, UNNAMED, MARKER]),
)


def check_component(name: str) -> None:
    """Fail unless a name is one component that every disk takes and every terminal shows."""
    assert name not in {"", ".", ".."}
    assert not set(name) & set("/\\\0")
    assert len(name.encode()) <= 255, "and is text: a lone surrogate cannot be encoded"
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in name if c not in "\u200c\u200d")


@given(person_id=st.integers(1, 10**9), name=any_text)
def test_every_name_of_a_person_gives_folders_that_are_safe_and_its_own(person_id: int, name: str) -> None:
    names = folder_names(person_id, name)
    for folder in [next(names) for _ in range(N_CANDIDATES)]:
        check_component(folder)
        assert not folder.startswith(".")
        assert fits_folder(person_id, name, folder)


@given(st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 0x2F} & {*name}), st.binary(max_size=255))
def test_every_name_of_a_file_gives_links_that_are_safe_and_differ(name: bytes, folder: bytes) -> None:
    names = link_names(f"/{os.fsdecode(folder)}/{os.fsdecode(name)}")
    made = [next(names) for _ in range(5)]
    for link in made:
        check_component(link)
        assert not link.startswith(".")
    assert len(set(made[2:])) == 3


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS takes no name that is not UTF-8")
def test_a_library_and_a_people_folder_may_have_such_names_themselves(tmp_path: Path) -> None:
    base = tmp_path / os.fsdecode(b"\xff\n\x1b[31m") / f"x{BIDI}"
    library = Library(base, base / "Pho\ntos", base / os.fsdecode(b"Peo\xfeple"), base / "data" / "catalog.sqlite")
    library.photos.mkdir(parents=True)
    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 1))
    library.scan()
    assert sorted(library.tree().values()) == ["a.png", "b.png"]
