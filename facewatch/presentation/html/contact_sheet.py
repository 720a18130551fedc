"""Everybody on one HTML page that needs nothing else: a face of each, some more of them, and how to name them.

It is well-formed XML too, which a test makes use of. Each portrait is one line, see `folders.sheet`.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from facewatch import __version__, folders, ids
from facewatch.catalog import display
from facewatch.cli.output import plural
from facewatch.cli.pictures import picture_of
from facewatch.evaluation.style import head, page, section
from facewatch.people.portraits import Portrait

MOST_BYTES = 5_000_000
"""Of a page, about: some browsers and many mail programs take no larger ones well."""

COVER_SIDE = 144
FACE_SIDE = 72
"""Pixels of what is shown; half as many on the screen of a telephone."""

_QUALITY = 78

_STYLE = """\
.people { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 12px; }
.person { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 12px; min-width: 0; }
.person { display: grid; grid-template-columns: 96px minmax(0, 1fr); gap: 4px 12px; align-content: start; }
.person > .cover { grid-row: 1 / span 3; width: 96px; height: 96px; }
.person img, .person .none { border-radius: 8px; background: var(--grid); object-fit: cover; display: block; }
.person .none { display: flex; align-items: center; justify-content: center; color: var(--soft); font-size: 0.75rem; }
.person h3 { overflow-wrap: anywhere; margin: 0; line-height: 1.25; }
.person a { color: var(--tone-0); }
.person p { margin: 0; color: var(--soft); font-size: 0.85rem; }
.person .more { grid-column: 1 / -1; display: flex; gap: 6px; margin-top: 6px; min-height: 48px; }
.person .more img { width: 48px; height: 48px; }
code { font-size: 0.8rem; background: var(--grid); border-radius: 5px; padding: 2px 6px; overflow-wrap: anywhere; }
code { user-select: all; -webkit-user-select: all; color: var(--ink); }
"""


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
        [
            _card(one, room, command, _way(people_folder, one.person.folder, file))
            for one in portraits
            if (one.person.name is not None) is is_named
        ]
        for is_named in (True, False)
    )
    facts = (
        *(plural(n_people, "person", "people"), f"{len(named)} with a name"),
        *(f"as of {made_at}", f"facewatch {__version__}"),
    )
    body = (
        head("Everybody", facts),
        _hint(
            "Who is it? Copy the line under a face, put the name in the place of NAME, and run it in a terminal. "
            f"<code>{escape(command)} people --contact-sheet</code> brings this page up to date."
        ),
        section("With a name", _grid(named)) if named else "",
        section("Not named yet", _grid(unnamed)) if unnamed else "",
        _rest(n_people - len(portraits), command),
    )
    return page("Everybody", body, mark=folders.SHEET_MARK, style=_STYLE)


def _hint(html: str) -> str:
    return f'<p class="hint">{html}</p>'


def _rest(n_left: int, command: str) -> str:
    if n_left <= 0:
        return ""
    return _hint(f"And {plural(n_left, 'more person', 'more people')}: <code>{escape(command)} people --table</code>")


def _grid(cards: Sequence[str]) -> str:
    return '<div class="people">\n' + "\n".join(cards) + "\n</div>"


def _card(portrait: Portrait, room: int, command: str, way: str | None) -> str:
    """Return a person in one line, with as many faces as there is room for, in bytes; `way`: to the folder."""
    person, name = portrait.person, escape(display(portrait.person.label))
    images = []
    for number, crop in enumerate(portrait.crops):
        image = _image(crop, FACE_SIDE, f"another face of {name}") if number else _cover(crop, name)
        room -= len(image)
        images.append(image if room > 0 else "")
    more = "".join(images[1:])
    return (
        f"{folders.portrait_start(person.id)}{''.join(images[:1]) or _NO_PICTURE}"
        + (f'<h3><a href="{way}">{name}</a></h3>' if way else f"<h3>{name}</h3>")
        + f"<p>{plural(person.n_photos, 'photo')}</p>"
        + f"<p><code>{escape(command)} rename {ids.person(person.id)} NAME</code></p>"
        + (f'<div class="more">{more}</div>' if more else "")
        + "</article>"
    )


_NO_PICTURE = '<div class="cover none">no picture</div>'


def _way(people_folder: Path, folder: str | None, file: Path) -> str | None:
    """Return the way from the page to a folder, for a browser."""
    if not folder:
        return None
    return escape(quote(os.fsencode(os.path.relpath(people_folder / folder, file.absolute().parent)))) + "/"


def _cover(crop: Path, name: str) -> str:
    return _image(crop, COVER_SIDE, f"a face of {name}").replace("<img ", '<img class="cover" ')


def _image(crop: Path, side: int, alt: str) -> str:
    """Return a picture; "" when it is gone."""
    from PIL import Image

    picture = picture_of(crop)
    if picture is None:
        return ""
    jpeg = io.BytesIO()
    picture.resize((side, side), Image.Resampling.LANCZOS).save(jpeg, format="JPEG", quality=_QUALITY)
    data = base64.b64encode(jpeg.getvalue()).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" width="{side}" height="{side}" alt="{alt}"/>'
