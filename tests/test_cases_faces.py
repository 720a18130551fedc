"""What a new user reads first: no help and no table says what was quoted as odd, and all of it fits 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

import facewatch.cli
from facewatch.cli.program import facewatch

ODD = (
    "Say that two people are two",
    "Tell the library in numbers",
    "founds no new person",
    "from the middle of all",
    "of which are settled by",
    "Make several people of one",
    "Have no folder for a person",
)


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield (*names, name)


@pytest.mark.parametrize("names", list(commands(facewatch)), ids=" ".join)
def test_help_is_plain_and_fits_eighty_columns(names: tuple[str, ...]) -> None:
    said = CliRunner().invoke(facewatch, [*names, "--help"], terminal_width=80).output
    assert said.startswith("Usage: ")
    assert not [odd for odd in ODD if odd in " ".join(said.split())]
    assert [line for line in said.split("\n") if cell_len(line) > 80] == []
