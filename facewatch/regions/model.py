"""What metadata says about the people in a photo, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from facewatch.boxes import pair_up


@dataclass(frozen=True, slots=True)
class Size:
    """The width and height of a picture in pixels."""

    width: int
    height: int

    @property
    def turned(self) -> Size:
        """The size after a quarter turn."""
        return Size(self.height, self.width)


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in fractions of a picture's width and height, 0 to 1; x and y are its left upper corner.

    As metadata has it, the picture is the stored one: as the file holds it, before its orientation is obeyed."""

    x: float
    y: float
    w: float
    h: float

    @classmethod
    def around(cls, x: float, y: float, w: float, h: float) -> Area:
        """Return the area whose centre is x, y, as MWG writes it."""
        return cls(x - w / 2, y - h / 2, w, h)

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2

    @property
    def row(self) -> tuple[float, float, float, float]:
        """x, y, w, h."""
        return self.x, self.y, self.w, self.h


class RegionKind(StrEnum):
    """What a region shows; all but a face is kept as it is and nobody."""

    FACE = "face"
    PET = "pet"
    FOCUS = "focus"
    BARCODE = "barcode"
    OTHER = "other"


class Scheme(StrEnum):
    """In which words a region is written."""

    MWG = "mwg-rs"
    MICROSOFT = "MP"
    PICASA = "picasa"


@dataclass(frozen=True, slots=True)
class Region:
    """One region as one scheme has it."""

    area: Area | None
    """None: there is only the name."""
    name: str
    """"": nobody has named it."""
    kind: RegionKind
    scheme: Scheme


class Place(StrEnum):
    """Where names stand besides regions."""

    PERSON_IN_IMAGE = "Iptc4xmpExt:PersonInImage"
    TAGS_LIST = "digiKam:TagsList"
    LAST_KEYWORD = "MicrosoftPhoto:LastKeywordXMP"
    HIERARCHICAL_SUBJECT = "lr:hierarchicalSubject"
    CATALOG_SETS = "mediapro:CatalogSets"
    SUBJECT = "dc:subject"
    CATEGORIES = "acdsee:Categories"


@dataclass(frozen=True, slots=True)
class RegionFace:
    """A face as all schemes together say it."""

    area: Area
    names: tuple[str, ...]
    """(): nobody has named it; more than one: the schemes disagree, and none of them is the right one."""

    @property
    def is_conflict(self) -> bool:
        return len(self.names) > 1


@dataclass(frozen=True, slots=True)
class PhotoRegions:
    """All that the metadata of one photo says about the people in it."""

    regions: tuple[Region, ...] = ()
    """Each as it is written; what is written in two schemes is here twice."""
    keywords: Mapping[Place, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Places that have any, each with all its words as they are written, "People/Anna" and "beach" alike."""
    applied_to: Size | None = None
    """Of the picture on which MWG's regions were drawn; None: the file does not say."""
    orientation: int | None = None
    """What the same file says about the photo's orientation, 1 to 8; None: nothing."""

    @property
    def is_empty(self) -> bool:
        return not self.regions and not self.keywords

    @property
    def faces(self) -> tuple[RegionFace, ...]:
        """The faces, those that several schemes have once."""
        regions = [region for region in self.regions if region.kind is RegionKind.FACE]
        schemes = [[r for r in regions if r.scheme is scheme and r.area] for scheme in Scheme]
        merged: list[RegionFace] = []
        for ours in schemes:
            merged = _merged(merged, [RegionFace(r.area, (r.name,) if r.name else ()) for r in ours if r.area])
        return tuple(merged)

    @property
    def conflicts(self) -> tuple[RegionFace, ...]:
        """The faces about which the schemes disagree."""
        return tuple(face for face in self.faces if face.is_conflict)

    @property
    def unplaced(self) -> tuple[str, ...]:
        """Names of people in the photo of whom nothing says where they are, in order of their first mention."""
        placed = {as_tag(name) for face in self.faces for name in face.names}
        bare = [r.name for r in self.regions if r.kind is RegionKind.FACE and r.area is None and r.name]
        said = [*bare, *(name for place, words in self.keywords.items() for name in people_in(place, words))]
        first = {as_tag(name): name for name in reversed(said)}
        return tuple(name for name in dict.fromkeys(said) if first[as_tag(name)] == name and as_tag(name) not in placed)


def _merged(known: Sequence[RegionFace], more: Sequence[RegionFace]) -> list[RegionFace]:
    pairs = dict(pair_up(np.array([face.area.row for face in known]), np.array([face.area.row for face in more])))
    both = [
        RegionFace(face.area, tuple(dict.fromkeys(face.names + more[pairs[i]].names))) if i in pairs else face
        for i, face in enumerate(known)
    ]
    return both + [face for i, face in enumerate(more) if i not in pairs.values()]


NOBODY = frozenset(("Unknown", "Unconfirmed", "Ignored"))
"""Names that digiKam keeps for faces without one; a person who is called so is nobody to it."""

PEOPLE = "People"
_PEOPLE_TAGS = frozenset(
    (PEOPLE, "Personen", "Personnes", "Personas", "Persone", "Pessoas", "Osoby", "Люди", "人物", "人々")
)
"""What digiKam calls the tag above all people, by the language in which it was started first."""

_SEPARATORS: Mapping[Place, str] = MappingProxyType(
    {
        Place.TAGS_LIST: "/",
        Place.LAST_KEYWORD: "/",
        Place.HIERARCHICAL_SUBJECT: "|",
        Place.CATALOG_SETS: "|",
        Place.CATEGORIES: "/",
    }
)


def people_in(place: Place, words: Sequence[str]) -> Iterator[str]:
    """Yield the words of a place that name people: in a tree of tags those at the end of a branch below People."""
    if place is Place.PERSON_IN_IMAGE:
        yield from filter(None, words)
    separator = _SEPARATORS.get(place)
    for word in words if separator else ():
        root, *path = word.split(separator)
        if root in _PEOPLE_TAGS and path and path[-1] and path[-1] not in NOBODY:
            yield path[-1]


def tag_of(place: Place, name: str) -> str:
    """Return the word that stands for a person in a place."""
    separator = _SEPARATORS.get(place)
    return f"{PEOPLE}{separator}{as_tag(name)}" if separator else name


def as_tag(name: str) -> str:
    """Return a name as one tag: what separates tags becomes a backslash, as digiKam has it."""
    return name.replace("/", "\\").replace("|", "\\")


def names_person(place: Place, word: str, name: str) -> bool:
    """Whether a word in a place stands for a person."""
    return as_tag(name) in people_in(place, [word]) if place in _SEPARATORS else word == name
