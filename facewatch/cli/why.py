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

    A terminal that can draw faces (see `facewatch review`) shows it beside the nearest faces of whom it looks like.

    \b
    Example:
      facewatch why ~/People/Anna/IMG_1234.jpg
      facewatch why holiday.jpg:2
      facewatch why f812 --json
    """
    with state.app() as app:
        explained = app.explainer().explain(what, is_complete=is_complete)
        if as_json:
            from facewatch.presentation.explain_row import explained_row

            print_json(explained_row(explained))
            return
        from facewatch.cli.faces import draw_rows, screen_here
        from facewatch.presentation.explain import compared_faces, face_lines, others_line, photo_lines

        echo("\n".join(photo_lines(explained)))
        drawn = draw_rows(app, screen_here(), list(map(compared_faces, explained.whys)))
        for one, faces in zip(explained.whys, drawn, strict=True):
            echo("")
            click.echo(faces, nl=False)
            echo("\n".join(face_lines(app.catalog, one)))
        if others := others_line(explained):
            echo(f"\n{others}")
