"""What files in and beside photos say about the people in them; read in workers, because they may be hostile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import BinaryIO

from facewatch import decode
from facewatch.catalog.metadata import MetadataKind
from facewatch.errors import RegionsError
from facewatch.regions import picasa, stored, takeout, xmp
from facewatch.regions.model import PhotoRegions
from facewatch.regions.rdf import MAX_BYTES
from facewatch.types import FileSays


def read(file: BinaryIO, kind: MetadataKind, *, max_pixels: int) -> FileSays:
    """Return what an open file says; one that is damaged says nothing, and why.

    Raises:
        OSError: it cannot be read.
        PhotoError: it is a photo, and broken.
    """
    if kind is MetadataKind.EMBEDDED:
        return _embedded(file, max_pixels)
    data = file.read(MAX_BYTES + 1)
    digest = hashlib.sha256(data).digest()
    try:
        match kind:
            case MetadataKind.PICASA:
                return FileSays(digest, {name: stored.to_json(said) for name, said in picasa.read(data).items()})
            case MetadataKind.CONTACTS:
                return FileSays(digest, {}, contacts=picasa.read_contacts(data))
            case MetadataKind.TAKEOUT:
                return FileSays(digest, {"": stored.to_json(takeout.read(data))})
        return FileSays(digest, {"": stored.to_json(xmp.read(data))})
    except RegionsError as error:
        return FileSays(digest, {}, doubt=str(error))


def _embedded(photo: BinaryIO, max_pixels: int) -> FileSays:
    described = decode.described(photo, max_pixels=max_pixels)
    digest = hashlib.sha256(b"".join(described.xmp)).digest()
    try:
        said, doubt = _first_that_says(described.xmp), None
    except RegionsError as error:
        said, doubt = PhotoRegions(), str(error)
    by_photo = {} if said.is_empty else {"": stored.to_json(said)}
    return FileSays(digest, by_photo, described.orientation, doubt)


def _first_that_says(packets: Iterable[bytes]) -> PhotoRegions:
    """What the first packet says that says anything about people.

    Raises:
        RegionsError: none does, and one is damaged.
    """
    fault: RegionsError | None = None
    for packet in packets:
        try:
            said = xmp.read(packet)
        except RegionsError as error:
            fault = error
        else:
            if not said.is_empty:
                return said
    if fault is not None:
        raise fault
    return PhotoRegions()
