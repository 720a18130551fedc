"""What a file says about people -> a packet that says the same and nothing else.

A sidecar counts in place of what stands in its photo, keyword by keyword and region by region: one that is new begins
with what the photo, or a sidecar that other programs look at after it, says already.
"""

from __future__ import annotations

from facewatch.regions import rdf
from facewatch.regions.editing import EMPTY, append, array, description, element, serialised, struct
from facewatch.regions.model import PhotoRegions, Place, Region, RegionKind, Scheme
from facewatch.regions.rdf import RDF, Node
from facewatch.regions.region_list import RegionScheme
from facewatch.regions.words import categories_of
from facewatch.regions.writing import SCHEMES, dimensions
from facewatch.regions.xmp import PLACES

_TYPES = {RegionKind.FACE: "Face", RegionKind.PET: "Pet", RegionKind.FOCUS: "Focus", RegionKind.BARCODE: "BarCode"}


def packet_of(said: PhotoRegions) -> bytes:
    """Return a packet with these regions and keywords; regions of unknown types and those of Picasa are left out."""
    root = rdf.parse(EMPTY)
    bearer = description(root)
    for scheme, kind in zip(SCHEMES, (Scheme.MWG, Scheme.MICROSOFT), strict=True):
        regions = [region for region in said.regions if region.scheme is kind and region.kind in _TYPES]
        if regions:
            items = element(f"{RDF}Bag", [_item(region, scheme) for region in regions])
            is_sized = kind is Scheme.MWG and said.applied_to is not None
            size = [dimensions(said.applied_to)] if is_sized and said.applied_to else []
            append(bearer, struct(scheme.struct, [*size, element(scheme.array, [items])]))
    for place, words in said.keywords.items():
        append(bearer, _keywords(place, words))
    return serialised(root)


def _item(region: Region, scheme: RegionScheme) -> Node:
    area = [scheme.area_made(region.area)] if region.area else []
    name = [element(scheme.name, region.name)] if region.name else []
    kind = [element(scheme.kind, _TYPES[region.kind])] if scheme.kind else []
    return struct(f"{RDF}li", [*area, *name, *kind])


def _keywords(place: Place, words: tuple[str, ...]) -> Node:
    if place is Place.CATEGORIES:
        return element(PLACES[place], categories_of(words))
    return array(PLACES[place], "Seq" if place is Place.TAGS_LIST else "Bag", words)
