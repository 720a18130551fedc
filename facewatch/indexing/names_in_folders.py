"""Which files speak of photos in their folder by these photos' names, and have not been read as they are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby

from facewatch.catalog import Catalog
from facewatch.catalog.beside import FolderOf, OtherFile, PhotoHere, UnreadFile
from facewatch.catalog.metadata import MetadataKind, Way

PICASA = frozenset({".picasa.ini", "picasa.ini"})
"""What Picasa calls its file in each folder; the second one is older."""

CONTACTS = "contacts.xml"


def unread(catalog: Catalog, kind: MetadataKind, within: Collection[FolderOf] | None = None) -> list[UnreadFile]:
    """Return those of a kind, Picasa's or those of Google Takeout, with the photos that each may speak of.

    Args:
        within: only those in these folders.
    """
    of_kind = _of_picasa if kind is MetadataKind.PICASA else _of_takeout
    spoken = list(of_kind(catalog, within))
    if within is None:
        known = catalog.beside.read_as(kind)
    else:
        rows = (row for other, _ in spoken for row in catalog.metadata.at(other.whole_path, Way.READ))
        known = {(row.path, row.photo_id): row.fingerprint for row in rows}
    found = []
    for other, photos in spoken:
        if any(known.get((other.whole_path, photo.photo_id)) != other.fingerprint for photo in photos):
            names = tuple(photo.name for photo in photos) if kind is MetadataKind.PICASA else ()
            ids = tuple(photo.photo_id for photo in photos)
            found.append(UnreadFile(other.root, other.path, kind, other.fingerprint, ids, names))
    return found


def contacts_of(catalog: Catalog) -> list[UnreadFile]:
    """Return the files of the libraries in which Picasa has names of contacts."""
    return [
        UnreadFile(other.root, other.path, MetadataKind.CONTACTS, other.fingerprint, ())
        for other in catalog.beside.others(CONTACTS)
        if other.name.casefold() == CONTACTS
    ]


_Spoken = tuple[OtherFile, list[PhotoHere]]
"""A file and the photos that it may speak of."""


def _of_picasa(catalog: Catalog, within: Collection[FolderOf] | None) -> Iterator[_Spoken]:
    """Yield Picasa's files and all the photos of their folders."""
    for others in _by_folder(catalog.beside.others("picasa.ini", within)):
        photos = catalog.beside.photos_in(others[0])
        for other in others:
            if photos and other.name.casefold() in PICASA:
                yield other, photos


def _of_takeout(catalog: Catalog, within: Collection[FolderOf] | None) -> Iterator[_Spoken]:
    """Yield files of Google Takeout and the photo that each is about, with its edited copies."""
    for others in _by_folder(catalog.beside.others(".json", within)):
        from facewatch.regions import takeout

        photos = {photo.name: photo for photo in catalog.beside.photos_in(others[0])}
        about = defaultdict[str, list[PhotoHere]](list)
        for photo, file in takeout.files_of(photos, [other.name for other in others]).items():
            about[file].append(photos[photo])
        yield from ((other, about[other.name]) for other in others if about[other.name])


def _by_folder(others: Iterable[OtherFile]) -> Iterator[list[OtherFile]]:
    in_order = sorted(others, key=lambda other: (other.root, other.folder))
    for _, beside in groupby(in_order, key=lambda other: (other.root, other.folder)):
        yield list(beside)
