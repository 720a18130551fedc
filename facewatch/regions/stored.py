"""PhotoRegions as JSON, as the catalog keeps them."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

from facewatch.regions.model import Area, PhotoRegions, Place, Region, RegionKind, Scheme, Size


def to_json(said: PhotoRegions) -> str:
    """Return it as one line of JSON; what is equal is written alike."""
    content: dict[str, Any] = {
        "regions": [[r.scheme, r.kind, r.name, *(r.area.row if r.area else ())] for r in said.regions],
        "keywords": {place: said.keywords[place] for place in Place if place in said.keywords},
        "applied_to": [said.applied_to.width, said.applied_to.height] if said.applied_to else None,
        "orientation": said.orientation,
    }
    return json.dumps({key: value for key, value in content.items() if value}, ensure_ascii=False)


def from_json(text: str) -> PhotoRegions:
    """Return what `to_json` was given.

    Raises:
        ValueError: it was not written by it.
    """
    content = json.loads(text)
    applied_to = content.get("applied_to")
    return PhotoRegions(
        regions=tuple(
            Region(Area(*area) if area else None, name, RegionKind(kind), Scheme(scheme))
            for scheme, kind, name, *area in content.get("regions", ())
        ),
        keywords=MappingProxyType({Place(place): tuple(said) for place, said in content.get("keywords", {}).items()}),
        applied_to=Size(*applied_to) if applied_to else None,
        orientation=content.get("orientation"),
    )
