"""The regions of one scheme in a tree of XMP, and how faces get into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.boxes import pair_up
from facewatch.regions import rdf, xmp
from facewatch.regions.editing import append, description, element, remove, replace_by, struct
from facewatch.regions.model import Area, Region, RegionKind, Size
from facewatch.regions.orientation import area_of, box_of, to_stored
from facewatch.regions.rdf import RDF, Node
from facewatch.types import Box

if TYPE_CHECKING:
    from facewatch.types import Doubles


@dataclass(frozen=True, slots=True)
class RegionScheme:
    """How one scheme spells regions."""

    struct: str
    array: str
    area: str
    """The field of a region that says where it is; so are the others."""
    name: str
    kind: str | None
    """None: all of them are faces."""
    read: Callable[[rdf.Value, Size | None], Region]
    area_made: Callable[[Area], Node]


def rows_of(areas: Sequence[Area | None]) -> Doubles:
    """Return x, y, w, h of areas that there are, shape (n_areas, 4)."""
    return np.array([area.row for area in areas if area], np.float64).reshape(-1, 4)


class RegionList:
    """The regions of one scheme, read once and kept in line with the tree."""

    def __init__(self, root: Node, scheme: RegionScheme, size: Size) -> None:
        """`size`: of the stored picture."""
        self._root, self._scheme, self._size = root, scheme, size
        applied_to = next(xmp.applied_to(root), None)
        self._items = [item for item in xmp.items_of(root, scheme.struct, scheme.array) if not isinstance(item, str)]
        self._regions = [scheme.read(item, applied_to) for item in self._items]

    @property
    def regions(self) -> tuple[Region, ...]:
        return tuple(self._regions)

    def find(self, boxes: Sequence[Box]) -> dict[int, int]:
        """Return the places in `regions` of the faces that these boxes are, by their numbers."""
        places = [n for n, r in enumerate(self._regions) if r.kind is RegionKind.FACE and r.area]
        areas = [area_of(box, self._size) for box in boxes]
        pairs = pair_up(rows_of(areas), rows_of([self._regions[n].area for n in places]))
        return {i: places[j] for i, j in pairs}

    def put(self, place: int | None, name: str, box: Box) -> None:
        """Let the region at that place, or a new one, be this face; one that is so already is not touched."""
        area = area_of(box, self._size)
        if place is None:
            item = self._made(area, name)
            append(self._bag(), item)
            self._items.append(item)
            self._regions.append(self._scheme.read(item, self._size))
            return
        before = self._regions[place]
        if before.name != name or before.area is None or box_of(before.area, self._size) != box:
            self._set(place, self._made(area, name, self._items[place]))

    def drop(self, places: Sequence[int]) -> None:
        """Remove the regions at these places."""
        for place in sorted(places, reverse=True):
            remove(self._items.pop(place))
            del self._regions[place]

    def turn_back(self, orientation: int) -> None:
        """Let regions of the upright picture be those of the stored one."""
        for place, region in enumerate(self._regions):
            if region.area:
                self._set(place, self._made(to_stored(region.area, orientation), None, self._items[place]))

    def _set(self, place: int, item: Node) -> None:
        replace_by(self._items[place], item)
        self._items[place], self._regions[place] = item, self._scheme.read(item, self._size)

    def _made(self, area: Area, name: str | None, before: Node | None = None) -> Node:
        """A region with whatever else was said of it before; `name` None: with that name."""
        scheme = self._scheme
        fields: dict[str, rdf.Value] = rdf.fields(before) if before is not None else {}
        if name is None:
            name = rdf.text(fields.get(scheme.name))
        content = [scheme.area_made(area), *([element(scheme.name, name)] if name else [])]
        if scheme.kind and scheme.kind not in fields:
            content.append(element(scheme.kind, "Face"))
        others = (key for key in fields if key not in (scheme.area, scheme.name))
        return struct(f"{RDF}li", [*content, *(_copied(key, fields[key]) for key in others)])

    def _bag(self) -> Node:
        """The array of the regions; made where there is none."""
        bearer = struct_of(self._root, self._scheme.struct)
        array = next(bearer.iterchildren(self._scheme.array), None)
        if array is None:
            array = element(self._scheme.array)
            append(bearer, array)
        bag = next(array.iterchildren(f"{RDF}Bag", f"{RDF}Seq"), None)
        if bag is None:
            bag = element(f"{RDF}Bag")
            append(array, bag)
        return bag


def struct_of(root: Node, name: str) -> Node:
    """Return what bears the fields of a property that is a struct; made where there is none."""
    info = next((value for value in rdf.properties(root, name) if not isinstance(value, str)), None)
    if info is None:
        info = struct(name)
        append(description(root), info)
    nested = next(info.iterchildren(rdf.DESCRIPTION), None)
    if nested is None and info.get(f"{RDF}parseType") is None:  # its fields are attributes
        nested = element(rdf.DESCRIPTION)
        for key, value in rdf.fields(info).items():
            if isinstance(value, str):
                nested.set(key, value)
                del info.attrib[key]
        append(info, nested)
    return info if nested is None else nested


def _copied(name: str, value: rdf.Value) -> Node:
    if isinstance(value, str):
        return element(name, value)
    copy = deepcopy(value)
    copy.tail = None
    return copy
