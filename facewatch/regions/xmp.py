"""A packet of XMP -> what it says about the people in its photo."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from facewatch.errors import RegionsError
from facewatch.regions import rdf
from facewatch.regions.model import NOBODY, Area, PhotoRegions, Place, Region, RegionKind, Scheme, Size

MWG = "{http://www.metadataworkinggroup.com/schemas/regions/}"
ST_DIM = "{http://ns.adobe.com/xap/1.0/sType/Dimensions#}"
ST_AREA = "{http://ns.adobe.com/xmp/sType/Area#}"
MP = "{http://ns.microsoft.com/photo/1.2/}"
MPRI = "{http://ns.microsoft.com/photo/1.2/t/RegionInfo#}"
MPREG = "{http://ns.microsoft.com/photo/1.2/t/Region#}"
TIFF = "{http://ns.adobe.com/tiff/1.0/}"

PLACES: Mapping[Place, str] = MappingProxyType(
    {
        Place.PERSON_IN_IMAGE: "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}PersonInImage",
        Place.TAGS_LIST: "{http://www.digikam.org/ns/1.0/}TagsList",
        Place.LAST_KEYWORD: "{http://ns.microsoft.com/photo/1.0/}LastKeywordXMP",
        Place.HIERARCHICAL_SUBJECT: "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject",
        Place.CATALOG_SETS: "{http://ns.iview-multimedia.com/mediapro/1.0/}CatalogSets",
        Place.SUBJECT: "{http://purl.org/dc/elements/1.1/}subject",
        Place.CATEGORIES: "{http://ns.acdsee.com/iptc/1.0/}Categories",
    }
)

MAX_REGIONS = 1000
"""Of one photo and scheme; a photo of a whole school has some hundred faces."""
MAX_WORDS = 10_000
"""Of one place; stock photos have some hundred keywords."""
MAX_NAME = 1000
"""How many characters a name or keyword may have; longer ones are cut."""


def read(data: bytes) -> PhotoRegions:
    """Return what a packet of XMP says, of a sidecar or from within a photo.

    Raises:
        RegionsError: it is damaged, or larger than anything honest.
    """
    root = rdf.parse(data)
    regions = (*_mwg_regions(root), *_microsoft_regions(root))
    words = {place: tuple(_words(root, place)) for place in Place}
    return PhotoRegions(
        regions=regions,
        keywords=MappingProxyType({place: said for place, said in words.items() if said}),
        applied_to=next(applied_to(root), None),
        orientation=_orientation(root),
    )


# --- regions ---


def _mwg_regions(root: rdf.Node) -> Iterator[Region]:
    size = next(applied_to(root), None)
    for item in items_of(root, f"{MWG}Regions", f"{MWG}RegionList"):
        yield mwg_region(item, size)


def mwg_region(item: rdf.Value, size: Size | None) -> Region:
    """Return what one item of MWG's list says; `size`: of the picture that it was applied to, if that is known."""
    said = rdf.fields(item)
    area = _mwg_area(rdf.fields(said.get(f"{MWG}Area", "")), size)
    kind = _KINDS.get(rdf.text(said.get(f"{MWG}Type")).casefold(), RegionKind.OTHER)
    return Region(area, _name(said.get(f"{MWG}Name")), kind, Scheme.MWG)


_KINDS = MappingProxyType(
    {
        "": RegionKind.FACE,
        "face": RegionKind.FACE,
        "pet": RegionKind.PET,
        "focus": RegionKind.FOCUS,
        "barcode": RegionKind.BARCODE,
    }
)


def _microsoft_regions(root: rdf.Node) -> Iterator[Region]:
    yield from map(microsoft_region, items_of(root, f"{MP}RegionInfo", f"{MPRI}Regions"))


def microsoft_region(item: rdf.Value, _size: Size | None = None) -> Region:
    """Return what one item of Microsoft's list says; it never says of which size the picture was."""
    said = rdf.fields(item)
    area = _microsoft_area(rdf.text(said.get(f"{MPREG}Rectangle")))
    return Region(area, _name(said.get(f"{MPREG}PersonDisplayName")), RegionKind.FACE, Scheme.MICROSOFT)


def items_of(root: rdf.Node, struct: str, array: str) -> list[rdf.Value]:
    """Return the items of the list of regions in a struct.

    Raises:
        RegionsError: they are more than any photo has.
    """
    found = [item for info in rdf.properties(root, struct) for item in rdf.items(rdf.fields(info).get(array, ""))]
    if len(found) > MAX_REGIONS:
        raise RegionsError(f"more than {MAX_REGIONS} regions in one photo")
    return found


def _name(value: rdf.Value | None) -> str:
    name = rdf.text(value)[:MAX_NAME]
    return "" if name in NOBODY else name


def applied_to(root: rdf.Node) -> Iterator[Size]:
    """Yield the sizes of the picture that MWG's regions are said to be of; there should be one."""
    for info in rdf.properties(root, f"{MWG}Regions"):
        said = rdf.fields(rdf.fields(info).get(f"{MWG}AppliedToDimensions", ""))
        sides = [_number(rdf.text(said.get(f"{ST_DIM}{side}"))) for side in "wh"]
        if all(1 <= side < 1e6 for side in sides):
            yield Size(round(sides[0]), round(sides[1]))


def _mwg_area(said: Mapping[str, rdf.Value], applied: Size | None) -> Area | None:
    """The area with its corner; a circle becomes the square around it, a point no area."""
    x, y, w, h, d = (_number(rdf.text(said.get(f"{ST_AREA}{field}"))) for field in "xywhd")
    size = applied or Size(1, 1)
    if math.isnan(w) and math.isnan(h):  # the diameter is a share of the shorter side
        short = min(size.width, size.height)
        w, h = d * short / size.width, d * short / size.height
    if rdf.text(said.get(f"{ST_AREA}unit")) == "pixel" and applied:
        x, y, w, h = x / size.width, y / size.height, w / size.width, h / size.height
    return _within(Area.around(x, y, w, h))


def _microsoft_area(rectangle: str) -> Area | None:
    """The area of "x, y, w, h"; a computer may have had a comma for the decimal point as well."""
    parts = rectangle.split(",")
    if len(parts) == 8:
        parts = [f"{whole}.{rest}" for whole, rest in zip(parts[::2], parts[1::2], strict=True)]
    return _within(Area(*map(_number, parts))) if len(parts) == 4 else None


def _within(area: Area) -> Area | None:
    """The area within its picture; None: it is none, or is not one of this picture at all."""
    right, bottom = area.x + area.w, area.y + area.h
    if not (all(map(math.isfinite, area.row)) and area.w > 0 and area.h > 0):
        return None
    if min(area.x, area.y) < -0.5 or max(right, bottom) > 1.5:
        return None
    left, top, right, bottom = (min(1.0, max(0.0, edge)) for edge in (area.x, area.y, right, bottom))
    return Area(left, top, right - left, bottom - top) if right > left and bottom > top else None


def _number(text: str) -> float:
    """The number of a text, nan where it is none."""
    try:
        return float(text) if len(text) < 64 else math.nan
    except ValueError:
        return math.nan


# --- keywords ---


def _words(root: rdf.Node, place: Place) -> Iterator[str]:
    values = list(rdf.properties(root, PLACES[place]))
    if place is Place.CATEGORIES:
        found: Iterator[str] = (word for value in values for word in categories(rdf.text(value)))
    else:
        found = (rdf.text(item)[:MAX_NAME] for value in values for item in rdf.items(value))
    for n, word in enumerate(filter(None, dict.fromkeys(found))):
        if n == MAX_WORDS:
            raise RegionsError(f"more than {MAX_WORDS} words in {place}")
        yield word


def categories(text: str) -> Iterator[str]:
    """Yield the categories of ACDSee that are assigned, each with those above it: "People/Anna".

    They are XML within a text of XML; one that is damaged says nothing.
    """
    try:
        root = rdf.tree(text.encode())
    except RegionsError:
        return
    for category in root.iter("Category"):
        if category.get("Assigned") == "1":
            yield category_path(category)


def category_path(category: rdf.Node) -> str:
    """Return a category of ACDSee with those above it: "People/Anna"."""
    above = [category, *category.iterancestors("Category")]
    return "/".join((node.text or "").strip() for node in reversed(above))


def _orientation(root: rdf.Node) -> int | None:
    said = [rdf.text(value) for value in rdf.properties(root, f"{TIFF}Orientation")]
    return next((int(text) for text in said if text in [*"12345678"]), None)
