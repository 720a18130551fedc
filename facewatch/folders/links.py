"""What a link in the people folder stands for, for who is handed its path."""

from __future__ import annotations

import os
import sys
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from facewatch.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Linked:
    """What a link in the people folder stands for."""

    person_id: int
    """Whose folder it was made for."""
    photo_id: int


def link_at(catalog: Catalog, root: Path, path: Path) -> Linked | None:
    """Return what a link stands for that facewatch made at this path, in this people folder; None: there is none, or it
    was changed since and is somebody else's."""
    place = _place_in(root, path)
    row = catalog.links.at(place) if place is not None else None
    if row is None:
        return None
    from facewatch.folders.disk import read_entry

    return Linked(row.person_id, row.photo_id) if read_entry(os.fspath(path)).bears(row.stamp) else None


def _place_in(root: Path, path: Path) -> str | None:
    """Return where a path lies below the people folder, as records have it; None: elsewhere. The folders on the way
    may be links, what stands there is not followed."""
    top, folder = os.path.realpath(root), os.path.realpath(path.parent)
    if not folder.startswith(f"{top}/"):
        return None
    place = f"{folder[len(top) + 1 :]}/{path.name}"
    return unicodedata.normalize("NFC", place) if sys.platform == "darwin" else place
