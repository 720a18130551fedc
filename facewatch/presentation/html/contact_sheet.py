"""Everybody on one page: a face of each, some more of them, and how to name them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from facewatch import __version__, ids
from facewatch.catalog import display
from facewatch.folders.sheet import SHEET_MARK, portrait_start
from facewatch.people.portraits import Portrait
from facewatch.presentation.html import Markup, render
from facewatch.presentation.html.pictures import data_uri
from facewatch.text import plural

MOST_BYTES = 5_000_000
"""Of a page, about: some browsers and many mail programs take no larger ones well."""

SIDES = {"cover": 144, "face": 72}
"""Pixels of what is shown; half as many on the screen of a telephone."""

_TAG_BYTES = 60
"""Of the element around a picture, without what it says and shows."""


@dataclass(frozen=True, slots=True)
class Card:
    """What is shown of a person."""

    start: Markup
    """What the line begins with."""
    id: str
    name: str
    photos: str
    """How many, in words."""
    way: str | None
    """From the page to the folder, for a browser."""
    cover: str
    """The first face as a data: URI; "" when it is gone."""
    more: tuple[str, ...]
    """Further faces."""


def contact_page(
    portraits: Sequence[Portrait], *, n_people: int, people_folder: Path, file: Path, made_at: str, command: str
) -> str:
    """Return the page as text.

    Args:
        portraits: who is shown.
        n_people: how many there are altogether.
        file: where the page will be, from which links lead to the folders.
        command: how facewatch is called.
    """
    room = MOST_BYTES // max(1, len(portraits))
    named, unnamed = (
        [_card(one, room, people_folder, file) for one in portraits if (one.person.name is not None) is is_named]
        for is_named in (True, False)
    )
    n_left_out = n_people - len(portraits)
    return render(
        "contact_sheet.html",
        title="Everybody",
        mark=Markup(SHEET_MARK),
        facts=(
            *(plural(n_people, "person", "people"), f"{len(named)} with a name"),
            *(f"as of {made_at}", f"facewatch {__version__}"),
        ),
        command=command,
        sides=SIDES,
        named=named,
        unnamed=unnamed,
        left_out=plural(n_left_out, "more person", "more people") if n_left_out > 0 else "",
    )


def _card(portrait: Portrait, room: int, people_folder: Path, file: Path) -> Card:
    """Return a person with as many faces as there is room for, in bytes."""
    person, name = portrait.person, display(portrait.person.label)
    faces = []
    for number, crop in enumerate(portrait.crops):
        face = data_uri(crop, SIDES["face" if number else "cover"])
        room -= len(face) + len(name) + _TAG_BYTES
        faces.append(face if room > 0 else "")
    return Card(
        start=Markup(portrait_start(person.id)),
        id=ids.person(person.id),
        name=name,
        photos=plural(person.n_photos, "photo"),
        way=_way(people_folder, person.folder, file),
        cover=next(iter(faces), ""),
        more=tuple(filter(None, faces[1:])),
    )


def _way(people_folder: Path, folder: str | None, file: Path) -> str | None:
    if not folder:
        return None
    return quote(os.fsencode(os.path.relpath(people_folder / folder, file.absolute().parent))) + "/"
