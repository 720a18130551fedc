"""Whose the faces of a photo are by what files say: their areas are laid over the faces that were found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from facewatch.boxes import SAME_FACE, overlaps
from facewatch.catalog import FaceRow
from facewatch.catalog.metadata import MetadataKind
from facewatch.errors import NotKnownError
from facewatch.people.lookup import clean_name, name_key
from facewatch.regions.model import PhotoRegions, RegionFace, Size
from facewatch.regions.orientation import box_of, readings, to_upright, upright_size
from facewatch.types import Box

if TYPE_CHECKING:
    from facewatch.types import Doubles, Flags


@dataclass(frozen=True, slots=True)
class Saying:
    """What one file says about a photo."""

    kind: MetadataKind
    path: str
    """Absolute."""
    said: PhotoRegions


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo that files speak of, and the faces that were found in it."""

    photo_id: int
    size: Size
    """Of the upright photo."""
    orientation: int
    """How the stored picture is to be turned, 1 to 8."""
    faces: tuple[FaceRow, ...]


class Trouble(StrEnum):
    """Why a name is not taken over."""

    NAMES_DIFFER = "names_differ"
    """Files, or two schemes of one file, give one face different names."""
    TWO_FACES = "two_faces"
    """One name is on two faces of one photo."""
    USER = "user"
    """The user said that the face is somebody else, or nobody."""


class Means(StrEnum):
    """How it was found which face of its photo a name is about."""

    PLACE = "place"
    """The file says where it is."""
    LOOKS = "looks"
    """It looks like that person, as no other face there does."""
    ONLY = "only"
    """The photo shows no other face, and names nobody else."""


@dataclass(frozen=True, slots=True)
class NamedFace:
    """A face that files give a name."""

    face: FaceRow
    names: tuple[str, ...]
    """Cleaned; more than one: they disagree."""
    kind: MetadataKind
    """Of the file that gave the first one."""
    means: Means = Means.PLACE

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(map(name_key, self.names))


@dataclass(frozen=True, slots=True)
class PhotoNames:
    """Who is in a photo by what files say."""

    photo_id: int
    faces: tuple[NamedFace, ...] = ()
    others: tuple[str, ...] = ()
    """People in the photo of whom no face was found, or of whom nothing says where they are."""

    @property
    def twice(self) -> frozenset[str]:
        """Keys of the names that are on several faces."""
        counts = Counter(key for face in self.faces for key in face.keys)
        return frozenset(key for key, n in counts.items() if n > 1)

    def trouble_of(self, named: NamedFace) -> Trouble | None:
        """Return what is wrong with a name, as far as the files tell."""
        if len(named.names) > 1:
            return Trouble.NAMES_DIFFER
        return Trouble.TWO_FACES if named.keys & self.twice else None

    def without(self, before: PhotoNames) -> PhotoNames:
        """Return what was not said before."""
        said = {(named.face.id, named.keys) for named in before.faces}
        others = {*map(name_key, before.others)}
        return PhotoNames(
            self.photo_id,
            tuple(named for named in self.faces if (named.face.id, named.keys) not in said),
            tuple(name for name in self.others if name_key(name) not in others),
        )


def names_in_photo(picture: Picture, sayings: Iterable[Saying]) -> PhotoNames:
    """Return whose the faces of a photo are by what files say of it.

    Of the XMP beside and in the photo that counts which stands nearest to its file and speaks of people at all:
    IMG.JPG.xmp, then IMG.xmp, then the photo itself. What other kinds of files say counts beside it.
    """
    found: dict[int, NamedFace] = {}
    others: dict[str, str] = {}
    for saying in _that_count(sayings):
        placed, unplaced = _placed(picture, saying.said)
        for face, names in placed:
            before = found.get(face.id)
            known = before.names if before else ()
            found[face.id] = NamedFace(face, _distinct((*known, *names)), before.kind if before else saying.kind)
        for name in unplaced:
            others.setdefault(name_key(name), name)
    keys = {key for named in found.values() for key in named.keys}
    return PhotoNames(
        picture.photo_id,
        tuple(found[face_id] for face_id in sorted(found)),
        tuple(name for key, name in others.items() if key not in keys),
    )


_XMP = (MetadataKind.SIDECAR, MetadataKind.EMBEDDED)


def _that_count(sayings: Iterable[Saying]) -> Iterator[Saying]:
    ordered = sorted(sayings, key=lambda saying: (_XMP.index(saying.kind) if saying.kind in _XMP else 2, saying.kind))
    xmp = [saying for saying in ordered if saying.kind in _XMP and speaks_of_people(saying.said)]
    # The longer name is that of one photo, the shorter that of all photos of that name.
    xmp.sort(key=lambda saying: (_XMP.index(saying.kind), -len(saying.path)))
    yield from xmp[:1]
    yield from (saying for saying in ordered if saying.kind not in _XMP)


def speaks_of_people(said: PhotoRegions) -> bool:
    """Whether anybody is named."""
    return any(face.names for face in said.faces) or bool(said.unplaced)


def _placed(picture: Picture, said: PhotoRegions) -> tuple[list[tuple[FaceRow, tuple[str, ...]]], list[str]]:
    """The faces that have names, and the names that have no face."""
    regions = [(region, names) for region in said.faces if (names := _distinct(region.names))]
    pairs = _pairs(picture, said, [region for region, _ in regions])
    placed = [(picture.faces[face], regions[region][1]) for face, region in pairs]
    lost = {region for _, region in pairs}
    unplaced = [name for i, (_, names) in enumerate(regions) if i not in lost for name in names]
    return placed, [*unplaced, *_distinct(said.unplaced)]


def _pairs(picture: Picture, said: PhotoRegions, regions: Sequence[RegionFace]) -> list[tuple[int, int]]:
    """Which face, by its place in the photo, is in which region; by the way of reading the areas that finds most."""
    stored = upright_size(picture.size, picture.orientation)
    best: list[tuple[int, int]] = []
    for orientation in readings(said.applied_to, stored, picture.orientation):
        boxes = [box_of(to_upright(region.area, orientation), picture.size) for region in regions]
        pairs = faces_in([face.box for face in picture.faces], boxes)
        best = max(best, pairs, key=len)
    return best


def faces_in(faces: Sequence[Box], regions: Sequence[Box]) -> list[tuple[int, int]]:
    """Return pairs (index of a face, index of a region) that are one, each in one pair at most, the best first.

    Other programs and people draw their boxes wider or closer than a detector does: it is also enough that each has the
    middle of the other in it, which no neighbour has.
    """
    first, second = _rows(faces), _rows(regions)
    shares = overlaps(first, second)
    shares[(shares < SAME_FACE) & ~(_holds_middle(first, second) & _holds_middle(second, first).T)] = 0.0
    pairs: list[tuple[int, int]] = []
    while shares.size and shares.max() >= LEAST_OVERLAP:
        i, j = np.unravel_index(int(shares.argmax()), shares.shape)
        pairs.append((int(i), int(j)))
        shares[i, :] = shares[:, j] = 0.0
    return pairs


LEAST_OVERLAP = 0.1
"""Of a face and a region that have each other's middles in them: a box of three times the side is a head and shoulders,
a larger one may be about anybody."""


def _rows(boxes: Sequence[Box]) -> Doubles:
    return np.array([(box.x, box.y, box.w, box.h) for box in boxes], np.float64).reshape(-1, 4)


def _holds_middle(first: Doubles, second: Doubles) -> Flags:
    """Whether each of the first has the middle of each of the second in it, shape (n_first, n_second)."""
    middles = second[:, :2] + second[:, 2:] / 2
    low, high = first[:, None, :2], first[:, None, :2] + first[:, None, 2:]
    return np.asarray(((low <= middles[None]) & (middles[None] <= high)).all(axis=2), np.bool_)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The names as people bear them here, each once; what can be nobody's name is left out."""
    cleaned: dict[str, str] = {}
    for name in names:
        try:
            clean = clean_name(name)
        except NotKnownError:
            continue
        if name_key(clean) not in NOBODY_KEYS:
            cleaned.setdefault(name_key(clean), clean)
    return tuple(cleaned.values())


NOBODY_KEYS = frozenset({"unknown", "unknown person", "unconfirmed", "ignored", "unnamed", "?", "-"})
"""Names that mean nobody, to whatever program."""
