"""The command `draw`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facewatch.cli.output import echo
from facewatch.cli.program import State, command, pass_state

if TYPE_CHECKING:
    from facewatch.types import Box

_BOX = re.compile(r"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*")


class BoxType(click.ParamType["Box"]):
    """X,Y,W,H."""

    name = "X,Y,W,H"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Box:
        from facewatch.types import Box

        numbers = _BOX.fullmatch(str(value))
        if numbers is None:
            self.fail(f"{value!r} is no box; write it as X,Y,W,H, for example 420,310,96,120", param, ctx)
        return Box(*map(int, numbers.groups()))


@command("draw", "Add a face that was missed.")
@click.argument("photo")
@click.argument("who", required=False)
@click.option("--box", type=BoxType(), required=True, help="Where, in pixels of the upright photo, from its left top.")
@click.option("--new", "is_new", is_flag=True, help="WHO is the name of somebody new.")
@pass_state
def draw(state: State, photo: str, who: str | None, box: Box, is_new: bool) -> None:
    """Add the face in a box of PHOTO that was missed, and assign it to WHO if you say so.

    It is then compared, assigned and corrected as any face, and stays, whatever analyses the photo again. X and Y are
    the box's left upper corner, W and H its width and height.

    \b
    Example:
      facewatch draw ~/Pictures/party.jpg --box 420,310,96,120 Anna
    """
    from facewatch.presentation.corrections import lines

    if is_new and who is None:
        raise click.UsageError("--new needs the name of somebody new: WHO")
    with state.app() as app:
        made = app.corrections.add_face(app.lookup.photo_id(Path(photo)), box, who, is_new=is_new)
        if not state.is_quiet:
            echo("\n".join(lines(app.catalog, made, app.folder.root)))
