"""The command `export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facewatch.cli.group import command
from facewatch.cli.options import State, pass_state
from facewatch.cli.output import print_csv, print_json

if TYPE_CHECKING:
    pass


EXPORT_COLUMNS = ("path", "face_id", "person_id", "name", "x", "y", "w", "h", "distance", "source", "turn")
"""A promise to other programs."""


@command("export", "Print one row per face.")
@click.option("--csv", "kind", flag_value="csv", default="csv", help="CSV with a header line (the default).")
@click.option("--json", "kind", flag_value="json", help="A list of objects.")
@pass_state
def export(state: State, kind: str) -> None:
    """Print one row per face: path, face_id, person_id, name, x, y, w, h, distance, source, turn.

    Paths are absolute; the box is in pixels of the upright photo; turn says by how many degrees clockwise the photo has
    to be turned for the face to be upright; what is unknown is empty.

    \b
    Example:
      facewatch export --csv > faces.csv
    """
    with state.service() as service:
        rows = [
            (path, *("" if value is None else value for value in rest))
            for path, *rest in service.catalog.faces.export_rows()
        ]
    if kind == "json":
        print_json([dict(zip(EXPORT_COLUMNS, row, strict=True)) for row in rows])
    else:
        print_csv(EXPORT_COLUMNS, rows)
