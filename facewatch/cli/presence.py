"""The command `present`."""

from __future__ import annotations

from pathlib import Path

import click

from facewatch.cli.corrections import decide
from facewatch.cli.program import State, command, pass_state


@command("present", "Say who is in a photo without a face.")
@click.argument("who")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option("--not", "is_absent", is_flag=True, help="WHO is not in it after all.")
@click.option("--new", "is_new", is_flag=True, help="WHO is the name of somebody new.")
@pass_state
def present(state: State, who: str, photos: tuple[str, ...], is_absent: bool, is_new: bool) -> None:
    """Record that WHO is in each PHOTO although no face shows it: seen from behind, or hidden.

    The photo is in their folder and counts as one of theirs; nobody is recognised by it. For a face that was missed:
    `facewatch draw`.

    \b
    Example:
      facewatch present Anna ~/Pictures/beach.jpg
      facewatch present Anna ~/Pictures/beach.jpg --not
    """
    if is_absent and is_new:
        raise click.UsageError("--not and --new contradict each other: nobody new is in a photo")
    with state.app() as app:
        ids_of_photos = [app.lookup.photo_id(Path(photo)) for photo in photos]
    decide(
        state,
        lambda decisions: (
            decisions.absent(who, ids_of_photos) if is_absent else decisions.present(who, ids_of_photos, is_new=is_new)
        ),
    )
