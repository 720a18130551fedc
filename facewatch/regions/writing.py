"""Names and boxes into a packet of XMP that other programs may have written, too.

Both schemes of regions are written together, from one rounding of one rectangle, and every name also stands in all the
places where programs look for names: digiKam believes the name that comes first in the alphabet where schemes disagree,
and a word that is left over keeps somebody in a photo. What others wrote stays: their properties, their regions of
pets, codes and points of focus, and their faces of people of whom nothing is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lxml import etree

from facewatch.boxes import SAME_FACE, overlaps, pair_up
from facewatch.errors import RegionsError
from facewatch.regions import rdf, xmp
from facewatch.regions.editing import EMPTY, append, element, replace_by, serialised, struct
from facewatch.regions.model import NOBODY, Area, PhotoRegions, Place, Region, RegionKind, Scheme, Size
from facewatch.regions.orientation import QUARTER_TURNED, area_of, box_of, readings
from facewatch.regions.rdf import Node
from facewatch.regions.region_list import RegionList, RegionScheme, rows_of, struct_of
from facewatch.regions.words import set_names
from facewatch.regions.xmp import MP, MPREG, MPRI, MWG, ST_AREA, ST_DIM
from facewatch.types import Box


@dataclass(frozen=True, slots=True)
class WantedFace:
    """One face that is to be named."""

    box: Box
    """In whole pixels of the stored picture."""
    name: str
    is_confirmed: bool = True
    """By a user: it wins over what another program calls the same face."""


@dataclass(frozen=True, slots=True)
class WantedRegions:
    """What the metadata of one photo is to say."""

    size: Size
    """Of the stored picture."""
    orientation: int
    """Of the photo, 1 to 8."""
    faces: tuple[WantedFace, ...] = ()
    present: tuple[str, ...] = ()
    """Who is in it though no face shows it."""

    @property
    def said(self) -> PhotoRegions:
        """The same as it is kept on record; names that programs keep for nobody are never written."""
        return _said([(f.name, f.box) for f in self.faces if f.name not in NOBODY], self.present, self.size)


@dataclass(frozen=True, slots=True)
class Merged:
    """A packet that says what is wanted."""

    data: bytes | None
    """None: the packet that was there says it already."""
    said: PhotoRegions
    """What of it is facewatch's own from now on, as it was wanted."""
    others: tuple[tuple[str, str], ...]
    """Names that were not written, each with what another program calls that face."""


def merge(before: bytes | None, wanted: WantedRegions, ours: PhotoRegions | None = None) -> Merged:
    """Return a packet with all of the one before (None: there was none) that says what is wanted.

    Args:
        ours: what facewatch wrote there last: what of it is not wanted any more goes, from all places. None: nothing.

    Raises:
        RegionsError: the packet before is damaged, or its regions belong to another picture; nothing can be merged.
    """
    root = rdf.parse(EMPTY if before is None else before)
    unchanged = etree.tostring(root, method="c14n")
    said, others = _Merger(root, wanted, ours or PhotoRegions()).run()
    is_same = before is not None and etree.tostring(root, method="c14n") == unchanged
    return Merged(None if is_same else serialised(root), said, others)


def lost(now: PhotoRegions, ours: PhotoRegions) -> tuple[str, ...]:
    """Return the names of what facewatch wrote and is not there any more: no such name, or another one in its box."""
    written, faces = [r for r in ours.regions if r.area], now.faces
    pairs = dict(pair_up(rows_of([r.area for r in written]), rows_of([face.area for face in faces])))
    gone = [r.name for i, r in enumerate(written) if i not in pairs or r.name not in faces[pairs[i]].names]
    placed = {r.name for r in written}
    there = now.keywords.get(Place.PERSON_IN_IMAGE, ())
    gone += [name for name in _in_image(ours) if name not in placed and name not in there]
    return tuple(dict.fromkeys(gone))


def _said(faces: Iterable[tuple[str, Box]], present: Iterable[str], size: Size) -> PhotoRegions:
    faces = list(faces)
    names = dict.fromkeys([*(name for name, _ in faces), *(name for name in present if name not in NOBODY)])
    regions = [Region(area_of(box, size), name, RegionKind.FACE, Scheme.MWG) for name, box in faces]
    keywords: Mapping[Place, tuple[str, ...]] = {Place.PERSON_IN_IMAGE: tuple(names)} if names else {}
    return PhotoRegions(tuple(regions), MappingProxyType(keywords), size)


def _in_image(said: PhotoRegions) -> tuple[str, ...]:
    return said.keywords.get(Place.PERSON_IN_IMAGE, ())


class _Merger:
    """Changes a tree so that it says what is wanted, and no element of it that says so already."""

    def __init__(self, root: Node, wanted: WantedRegions, ours: PhotoRegions) -> None:
        self._root = root
        self._size = wanted.size
        self._faces = [face for face in wanted.faces if face.name not in NOBODY]
        self._present = [name for name in wanted.present if name not in NOBODY]
        self._ours = [r for r in ours.regions if r.area]
        self._our_names = {r.name for r in ours.regions} | set(_in_image(ours))
        self._lists = [RegionList(root, scheme, wanted.size) for scheme in SCHEMES]
        self._turn_back(wanted.orientation)

    def run(self) -> tuple[PhotoRegions, tuple[tuple[str, str], ...]]:
        """Return what is facewatch's own in the tree from now on, and which names were not written because of which."""
        boxes = [face.box for face in self._faces]
        places = [regions.find(boxes) for regions in self._lists]
        written: dict[int, Box] = {}
        others: list[tuple[str, str]] = []
        replaced: set[str] = set()
        for i, face in enumerate(self._faces):
            there = [regions.regions[at[i]] for regions, at in zip(self._lists, places, strict=True) if i in at]
            foreign = {r.name for r in there if r.name not in ("", face.name) and not self._is_ours(r)}
            if foreign and not face.is_confirmed:
                others += [(face.name, name) for name in sorted(foreign)]
                continue
            replaced |= {r.name for r in there if r.name != face.name}
            written[i] = self._rectangle(face, there)
        for regions, at in zip(self._lists, places, strict=True):
            self._write(regions, written, at)
        if written:
            self._say_dimensions()
        names = {self._faces[i].name for i in written} | {*self._present}
        standing = {r.name for regions in self._lists for r in regions.regions if r.kind is RegionKind.FACE}
        said = _said([(self._faces[i].name, boxes[i]) for i in written], self._present, self._size)
        set_names(self._root, _in_image(said), (self._our_names | replaced) - names - standing)
        return said, tuple(others)

    def _write(self, regions: RegionList, written: Mapping[int, Box], places: Mapping[int, int]) -> None:
        """Let a scheme have these faces, and none of facewatch's besides."""
        kept = {places[i] for i in written if i in places}
        dropped = [n for n, r in enumerate(regions.regions) if n not in kept and self._is_ours(r)]
        for i, box in written.items():
            regions.put(places.get(i), self._faces[i].name, box)
        regions.drop(dropped)

    def _is_ours(self, region: Region) -> bool:
        """Whether facewatch wrote a region, though another program may have moved it a bit."""
        known = rows_of([r.area for r in self._ours if r.name == region.name])
        is_face = region.kind is RegionKind.FACE and region.area is not None
        return is_face and len(known) > 0 and bool(overlaps(rows_of([region.area]), known).max() >= SAME_FACE)

    def _rectangle(self, face: WantedFace, there: Sequence[Region]) -> Box:
        """The rectangle of a face: as another program drew it, where it names it the same; else as it is wanted."""
        own = [box_of(r.area, self._size) for r in self._ours if r.area and r.name == face.name]
        drawn = [box_of(r.area, self._size) for r in there if r.area and r.name == face.name]
        return next((box for box in drawn if box not in own), face.box)

    def _turn_back(self, orientation: int) -> None:
        """Let regions that another program wrote for the upright picture be those of the stored one.

        Raises:
            RegionsError: the picture was turned since they were written, and nobody knows which way.
        """
        turns = readings(next(xmp.applied_to(self._root), None), self._size, orientation)
        if turns == (6, 8):
            raise RegionsError("its regions are those of the picture before it was turned")
        if turns == (1,) and orientation in QUARTER_TURNED:
            for regions in self._lists:
                regions.turn_back(orientation)

    def _say_dimensions(self) -> None:
        if next(xmp.applied_to(self._root), None) == self._size:
            return
        made = dimensions(self._size)
        bearer = struct_of(self._root, f"{MWG}Regions")
        before = next(bearer.iterchildren(made.tag), None)
        if before is None:
            append(bearer, made)
        else:
            replace_by(before, made)


def dimensions(size: Size) -> Node:
    """Return what says of which picture regions are."""
    numbers = {"w": str(size.width), "h": str(size.height), "unit": "pixel"}
    return struct(f"{MWG}AppliedToDimensions", [element(f"{ST_DIM}{key}", said) for key, said in numbers.items()])


def _mwg_area(area: Area) -> Node:
    x, y = area.centre
    numbers = {"x": x, "y": y, "w": area.w, "h": area.h}
    fields = [element(f"{ST_AREA}{field}", _digits(number)) for field, number in numbers.items()]
    return struct(f"{MWG}Area", [*fields, element(f"{ST_AREA}unit", "normalized")])


def _microsoft_area(area: Area) -> Node:
    return element(f"{MPREG}Rectangle", ", ".join(map(_digits, area.row)))


def _digits(number: float) -> str:
    """A number as every program reads it: with a digit on both sides of the point, and to a ten-thousandth of a pixel
    of the largest photo."""
    return f"{number:.9f}".rstrip("0").rstrip(".")


SCHEMES = (
    RegionScheme(
        struct=f"{MWG}Regions",
        array=f"{MWG}RegionList",
        area=f"{MWG}Area",
        name=f"{MWG}Name",
        kind=f"{MWG}Type",
        read=xmp.mwg_region,
        area_made=_mwg_area,
    ),
    RegionScheme(
        struct=f"{MP}RegionInfo",
        array=f"{MPRI}Regions",
        area=f"{MPREG}Rectangle",
        name=f"{MPREG}PersonDisplayName",
        kind=None,
        read=xmp.microsoft_region,
        area_made=_microsoft_area,
    ),
)
