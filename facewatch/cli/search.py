"""The command `search`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.output import echo, print_json, print_table
from facewatch.cli.program import State, command, json_option, pass_state

if TYPE_CHECKING:
    from facewatch.people.search import NearFaces


@command("search", "Find faces similar to those in a photo.")
@click.argument("photo", type=click.Path(path_type=Path))
@click.option(
    "--face", type=click.IntRange(min=1), metavar="N", help="Only the N-th face of PHOTO, from left to right."
)
@click.option(
    "-k", "n_found", type=click.IntRange(min=1), metavar="K", default=10, help="How many per face (default: 10)."
)
@json_option
@pass_state
def search(state: State, photo: Path, face: int | None, n_found: int, as_json: bool) -> None:
    """Find the faces in the catalog that are most similar to those in PHOTO, the nearest first.

    PHOTO may lie anywhere: one that the catalog does not know is analysed, and nothing is recorded. Faces are numbered
    from left to right; a link in somebody's folder means that person's face. Distances are Euclidean between unit
    vectors: 0 is the same picture. A line says up to where a face is near enough to be taken for the same person
    (`near_enough` in --json).

    \b
    Example:
      facewatch search ~/Pictures/IMG_1234.jpg
      facewatch search party.jpg --face 2 -k 30 --json

    \b
    Exit codes:
      0 done; 2 command line; 5 catalog; 7 engine, also while it changes;
      9 no such photo or face, no face in PHOTO, or none in the catalog
    """
    photo, face = _photo_and_face(photo, face)
    with state.app() as app:
        faces = app.search.like(photo, face=face, k=n_found)
    if as_json:
        print_json({"photo": str(Path.cwd() / photo), "faces": [asdict(one) for one in faces]})
        return
    for one in faces:
        _print_face(photo, one, has_heading=len(faces) > 1)
    if not all(one.is_exact for one in faces):
        echo('an index found these, which may miss one in a hundred; search.index = "exact" compares with every face')


def _photo_and_face(photo: Path, face: int | None) -> tuple[Path, int | None]:
    """Return what "holiday.jpg:2" means, as other commands take it; a file of that very name is a photo."""
    path, colon, number = str(photo).rpartition(":")
    if face is None and colon and number.isdecimal() and not photo.exists():
        return Path(path), int(number)
    return photo, face


def _print_face(photo: Path, face: NearFaces, *, has_heading: bool) -> None:
    from facewatch.presentation import catalog as words

    if has_heading:
        echo(words.near_title(photo, face))
    if face.found:
        print_table(words.NEAR_HEADER, words.near_cells(face))
    else:
        echo("no other face is in the library")
    if has_heading:
        click.echo()
