"""Picasa's .picasa.ini and contacts.xml -> who is in photos, and where.

A .picasa.ini speaks of the photos of its folder, in a section each. A face there is a rectangle of the stored picture
and the id of a contact, whose name stands in the section [Contacts2] of the same file, or only in contacts.xml, which
Picasa keeps with its database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from facewatch.errors import RegionsError
from facewatch.regions import rdf
from facewatch.regions.model import Area, PhotoRegions, Region, RegionKind, Scheme
from facewatch.regions.xmp import MAX_NAME, MAX_REGIONS

NOT_SAID = "f" * 16
"""The contact of a face that nobody has named."""

_SECTION = re.compile(r"\[(.+)\]")
_FACE = re.compile(r"rect64\(([0-9a-f]{1,16})\)\s*,\s*([0-9a-f]{1,16})", re.IGNORECASE)
_ID = re.compile(r"[0-9a-f]{16}")
_LARGEST = 0xFFFF


def read(data: bytes) -> dict[str, PhotoRegions]:
    """Return what a .picasa.ini says, by the names of photos in its folder.

    A face whose contact has no name there has the contact's id for its name; see `with_contacts`.

    Raises:
        RegionsError: it is no text, or has more faces than any photo.
    """
    if b"\0" in data:
        raise RegionsError("no .picasa.ini but something binary")
    sections = _sections(_decoded(data))
    said = sections.pop("contacts2", {})
    contacts = {_id(key): name for key, value in said.items() if (name := value.partition(";")[0].strip())}
    found = {photo: tuple(_faces(values.get("faces", ""), contacts)) for photo, values in sections.items()}
    return {photo: PhotoRegions(regions) for photo, regions in found.items() if regions}


def with_contacts(said: PhotoRegions, contacts: Mapping[str, str]) -> PhotoRegions:
    """Return it with the names of contacts in the place of their ids; one without a name is unnamed."""
    regions = (
        replace(region, name=contacts.get(region.name, "")) if _ID.fullmatch(region.name) else region
        for region in said.regions
    )
    return replace(said, regions=tuple(regions))


def read_contacts(data: bytes) -> dict[str, str]:
    """Return the names that a contacts.xml has, by the ids of its contacts.

    Raises:
        RegionsError: it is damaged, or larger than anything honest.
    """
    nodes = [(node.get("id"), node.get("name") or node.get("display") or "") for node in rdf.tree(data).iter("contact")]
    names = {_id(key): name.strip() for key, name in nodes if key}
    return {key: name[:MAX_NAME] for key, name in names.items() if name and _ID.fullmatch(key)}


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Versions before 3 wrote what Windows had for its characters then.
        return data.decode("cp1252", errors="replace")


def _sections(text: str) -> dict[str, dict[str, str]]:
    """The values of each section by their keys in small letters; [Contacts2] in whatever case it is written."""
    sections: dict[str, dict[str, str]] = {}
    values: dict[str, str] = {}
    for line in text.splitlines():
        header = _SECTION.fullmatch(line.strip())
        if header is not None:
            name = header[1].casefold() if header[1].casefold() == "contacts2" else header[1]
            values = sections.setdefault(name, {})
        else:
            key, is_value, value = line.partition("=")
            if is_value:
                values[key.strip().casefold()] = value.strip()
    return sections


def _faces(text: str, contacts: Mapping[str, str]) -> Iterator[Region]:
    for n, (rectangle, contact) in enumerate(_FACE.findall(text)):
        if n == MAX_REGIONS:
            raise RegionsError(f"more than {MAX_REGIONS} faces in one photo")
        area, key = _area(rectangle), _id(contact)
        if area is not None:
            name = "" if key == NOT_SAID else contacts.get(key, key)[:MAX_NAME]
            yield Region(area, name, RegionKind.FACE, Scheme.PICASA)


def _id(text: str) -> str:
    """An id of a contact as it is compared: Picasa leaves out the zeros at its beginning."""
    return text.strip().casefold().rjust(16, "0")


def _area(rectangle: str) -> Area | None:
    """The area of 64 bits, 16 each for the left, upper, right and lower edge; None: it is none."""
    edges = rectangle.rjust(16, "0")
    left, top, right, bottom = (int(edges[i : i + 4], 16) / _LARGEST for i in range(0, 16, 4))
    return Area(left, top, right - left, bottom - top) if right > left and bottom > top else None
