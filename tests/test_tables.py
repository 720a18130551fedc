"""Tables and sentences fit the terminal, no word is broken, and pipes lose nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from facewatch.cli import output
from facewatch.cli.output import table_lines, wrapped_line, wrapped_words

TEXTS = st.text(st.characters(categories=["L", "Nd", "P", "Zs", "So"], exclude_characters="\u00a0"), max_size=60)
HEADER = ("id", "name", "what was decided")


@given(st.lists(st.tuples(st.integers(0, 10**6), TEXTS, TEXTS), max_size=5), st.integers(40, 120))
def test_a_table_is_never_wider_than_the_terminal(rows: list[tuple[int, str, str]], width: int) -> None:
    cells = [[str(cell) for cell in row] for row in rows]
    lines = table_lines(HEADER, cells, width, numbers=[0], prose=[2])
    assert max(map(cell_len, lines)) <= width


@given(st.lists(st.tuples(st.integers(0, 10**6), TEXTS, TEXTS), max_size=5))
def test_in_a_pipe_a_table_has_all_of_every_cell_in_one_line(rows: list[tuple[int, str, str]]) -> None:
    cells = [[str(cell) for cell in row] for row in rows]
    lines = table_lines(HEADER, cells, None, numbers=[0], prose=())
    assert len(lines) == 2 + len(rows)
    for line, row in zip(lines[2:], cells, strict=True):
        assert all(cell.rstrip() in line for cell in row)


def test_columns_stand_under_each_other_whatever_a_character_takes() -> None:
    lines = table_lines(("name", "photos"), [["王小明", "3"], ["👪 family", "12"], ["Anna", "400"]], 80, numbers=[1])
    assert {cell_len(line) for line in lines} == {17}
    assert lines[2] == "王小明          3"


def test_names_and_paths_are_shortened_in_the_middle_and_sentences_wrap_at_spaces() -> None:
    rows = [
        ["p1", "/home/me/Pictures/2024/holiday in the mountains/IMG_1234.jpg", "taken out by you because it is Ben"]
    ]
    lines = table_lines(("id", "photo", "why"), rows, 60, prose=[2])
    assert lines[2:] == [
        "p1  /home/me/Pict…/IMG_1234.jpg  taken out by you because it",
        "                                 is Ben",
    ]


def test_what_stays_whole_is_shortened_last() -> None:
    rows = [["insightface:buffalo_l", "/home/me/.cache/facewatch/models/buffalo_l"]]
    lines = table_lines(("engine", "folder"), rows, 40, whole=[0])
    assert lines[2].startswith("insightface:buffalo_l  /home")
    lines = table_lines(("engine", "folder"), rows, 20, whole=[0])
    assert max(map(cell_len, lines)) <= 20


@given(TEXTS, st.integers(10, 60))
def test_no_word_is_broken_but_one_that_is_longer_than_a_line(text: str, width: int) -> None:
    words = text.split(" ")
    kept = " ".join(wrapped_words(text, width)).split(" ")
    assert [a for a, b in zip(words, kept, strict=False) if cell_len(a) <= width and a != b and a] == [] or any(
        cell_len(word) > width or not word for word in words
    )


@given(TEXTS, st.integers(20, 60))
def test_a_wrapped_sentence_says_the_same(text: str, width: int) -> None:
    lines = wrapped_line(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(cell_len(line) <= width or " " not in line.strip() for line in lines)


def test_a_line_is_carried_on_under_its_beginning_and_commands_stay_whole() -> None:
    text = "  why       it matched `facewatch rename p12 Anna` and then some"
    assert wrapped_line(text, 40) == [
        "  why       it matched",
        "            `facewatch rename p12 Anna`",
        "            and then some",
    ]
    path = "  /a/very long/path with spaces/that cannot be broken.jpg"
    assert wrapped_line(path, 40) == [path]
    assert wrapped_line("/media/usb/People: it is not there, but folders were made in it", 40) == [
        "/media/usb/People: it is not there, but",
        "folders were made in it",
    ]
    command = "  facewatch scan --engine insightface:buffalo_l ~/Pictures"
    assert wrapped_line(command, 40) == [command]
    assert wrapped_line("a /very/long/path/that/cannot/be/broken/anywhere.jpg b", 20) == [
        "a",
        "/very/long/path/that/cannot/be/broken/anywhere.jpg",
        "b",
    ]


# --- every command ---

LONG = "Anna Katharina Margarethe Elisabeth von der Mühlen-Lüdenscheidt zu Hohenstein-Ernstthal"
WIDE = "王小明王小明王小明王小明王小明王小明王小明王小明王小明王小明"


@pytest.fixture
def known(library: Library) -> Library:
    """Two people with long names, in folders with long names."""
    for look in range(4):
        library.draw(f"{'a folder with a long name ' * 4}/{'picture-' * 12}{look}.png", (1, look), (2, look))
    (library.photos / f"{'broken ' * 20}.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    library.scan()
    with library.app() as app, app.corrections.deciding() as decisions:
        one, other = app.catalog.people.all()
        decisions.rename(str(one.id), LONG)
        decisions.rename(str(other.id), WIDE)
    return library


@pytest.mark.parametrize(
    "command",
    [
        ("people", "--table"),
        ("history", "--all"),
        ("engines",),
        ("models",),
        ("stats",),
        ("status", "--all"),
        ("search", "{photo}"),
        ("split", "p1", "--into", "2", "--dry-run"),
    ],
    ids=" ".join,
)
def test_every_table_fits_eighty_columns(
    known: Library, run: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    photo = str(next(known.photos.rglob("picture*.png")))
    arguments = [word.replace("{photo}", photo) for word in command]
    full = run(*arguments).out
    monkeypatch.setattr(output, "_width", lambda **_: 80)
    lines = re.sub(r"\x1b\[\d*m", "", run(*arguments).out).split("\n")
    assert "─" in "".join(lines)
    # What is no table may have a path as it is, which is there to be copied.
    assert not [line for line in lines if cell_len(line) > 80 and "/" not in line]
    rule = next(i for i, line in enumerate(lines) if line.startswith("─"))
    assert all(cell_len(line) <= 80 for line in lines[rule - 1 : rule + 2])
    if "people" in command and "--table" in command:
        assert LONG in full
        assert WIDE in full
        assert LONG not in "".join(lines)
