"""Photos that somebody dropped in a person's folder, and of which a user is asked which face is meant.

Whether that is still open the catalog says: it is answered when the person is on the photo, by whatever command, and
open again when that is undone. The link that was dropped is facewatch's only as long as it is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.folders.asked import Asked, asked_in
from facewatch.folders.disk import read_entry
from facewatch.people.lookup import name_key
from facewatch.people.plausible import candidates

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Person
    from facewatch.folders.observed import Receiver


def receiver_of(catalog: Catalog, to: Receiver) -> Person | None:
    """Return who has, or has the name of, a folder in which something was dropped; None: nobody, or somebody who was
    forgotten."""
    if isinstance(to, str):
        key = name_key(to)
        called = next((p for p, name in catalog.people.names().items() if name_key(name) == key), None)
        return catalog.people.one(called) if called is not None else None
    while (into := catalog.people.merged_into(to)) is not None:
        to = into
    return catalog.people.one(to)


def is_open(catalog: Catalog, one: Asked) -> bool:
    """Whether it is still to be said which face is meant."""
    receiver = receiver_of(catalog, one.to)
    if receiver is None:
        return isinstance(one.to, str) and tuple(candidates(catalog, None, one.photo_id)) == one.faces
    return not _is_on(catalog, receiver, one) and tuple(candidates(catalog, receiver.id, one.photo_id)) == one.faces


def _is_on(catalog: Catalog, person: Person, one: Asked) -> bool:
    by_face = catalog.faces.beside([one.photo_id], person.id)
    return bool(by_face) or one.photo_id in catalog.presences.of_person(person.id)


def keep_links(catalog: Catalog, root: Path) -> None:
    """Put on record the links of photos of which it was answered which face is meant, and take those off it of which
    the answer was undone: they stand where somebody dropped them, and it is asked again."""
    for one in asked_in(catalog):
        link, receiver = catalog.links.at(one.path), receiver_of(catalog, one.to)
        if link is not None and is_open(catalog, one):
            with catalog.write():
                catalog.links.remove(link.link_id)
        elif link is None and receiver is not None and _is_on(catalog, receiver, one):
            source = next(iter(catalog.files.sources([one.photo_id]).get(one.photo_id, ())), None)
            if source is not None and read_entry(str(root / one.path)).bears(one.stamp):
                with catalog.write():
                    catalog.links.add(receiver.id, one.photo_id, one.path, source, one.stamp)


def still_asked(catalog: Catalog, found: Sequence[Asked]) -> list[Asked]:
    """Return what is asked about when this was found in the people folder: that, and what was answered, as long as its
    link is there."""
    paths = {one.path for one in found}
    return [*found, *(one for one in asked_in(catalog) if one.path not in paths and catalog.links.at(one.path))]
