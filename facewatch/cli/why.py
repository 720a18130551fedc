"""The command `why`."""

from __future__ import annotations

import click

from facewatch.cli.output import echo, print_json
from facewatch.cli.program import State, command, json_option, pass_state


@command("why", "Explain why a face is where it is.")
@click.argument("what", metavar="PHOTO|FACE")
@click.option("--all", "is_complete", is_flag=True, help="Also the other faces of the photo, where one is meant.")
@json_option
@pass_state
def why(state: State, what: str, is_complete: bool, as_json: bool) -> None:
    """Explain for every face in PHOTO, or for one FACE, who it is, why, how sure that is, and what would change it.

    FACE is an id (f812), or a photo and which face from the left: holiday.jpg:2. Distances are Euclidean between unit
    vectors: 0 is the same picture, and the less, the more alike. Of a similarity (1 is the same picture) only what is
    more than strangers have says who it is. A link in somebody's folder means that person's face.

    \b
    Example:
      facewatch why ~/People/Anna/IMG_1234.jpg
      facewatch why holiday.jpg:2
      facewatch why f812 --json
    """
    from facewatch.presentation.explain import explained_row, lines

    with state.app() as app:
        explained = app.explainer().explain(what, is_complete=is_complete)
        if as_json:
            print_json(explained_row(explained))
        else:
            echo("\n".join(lines(app.catalog, explained)))
