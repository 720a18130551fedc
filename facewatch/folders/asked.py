"""What is on record of photos that somebody dropped in a person's folder, and of which it is not clear who is meant."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from facewatch.catalog import Catalog
from facewatch.folders.observed import Receiver

_ASKED = "folders_asked"


@dataclass(frozen=True, slots=True)
class Asked:
    """A photo of which a user is asked which face is meant."""

    path: str
    """Of the link, or file, in the people folder."""
    photo_id: int
    stamp: str
    """"" for a file, which is the user's own."""
    to: Receiver
    """In whose folder it is."""
    faces: tuple[int, ...]
    """That may be meant."""


def asked_in(catalog: Catalog) -> tuple[Asked, ...]:
    """Return what was asked about last, also what was answered since and has its link."""
    rows = json.loads(catalog.settings.get(_ASKED) or "[]")
    return tuple(Asked(**{**row, "faces": tuple(row["faces"])}) for row in rows)


def set_asked(catalog: Catalog, asked: Iterable[Asked]) -> None:
    """Record it."""
    asked = tuple(sorted(asked, key=lambda one: one.path))
    if asked != asked_in(catalog):
        with catalog.write():
            catalog.settings.set(_ASKED, json.dumps([asdict(one) for one in asked]))
