"""The page of faces that belong to nobody, and those in the JSON API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from facewatch.catalog.pool import PoolKind
from facewatch.presentation.html import render
from facewatch.presentation.pool import pool_tiles
from facewatch.web.paging import Pages
from facewatch.web.parameters import Limit, Offset
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(tags=["unassigned faces"])

PAGE = 200


class PoolFaceRow(BaseModel):
    """A face of nobody."""

    id: int
    photo_id: int
    taken_at: str
    guess_id: int | None
    """The person that it is most like."""
    guess: str | None
    distance: float | None
    mark: str | None
    """nobody or not_a_face, as a user said."""


class PoolFaceRows(BaseModel):
    n_faces: int
    faces: list[PoolFaceRow]


async def _ids(site: SiteParts, kind: PoolKind) -> Sequence[int]:
    return await site.access.cached(("pool", kind), lambda app: app.catalog.pool.ids(kind))


@pages.get("/pool", response_class=HTMLResponse)
async def pool_page(site: Site, paging: Pages, kind: PoolKind = PoolKind.OPEN) -> str:
    others = [other for other in PoolKind if other is not kind]
    ids, counted = await asyncio.gather(
        _ids(site, kind),
        site.access.cached(
            ("pool counts", kind), lambda app: {other: app.catalog.pool.count(other) for other in others}
        ),
    )
    counts = {one: len(ids) if one is kind else counted[one] for one in PoolKind}
    part = paging.part(ids, PAGE)
    rows = await site.access.read(lambda app: app.catalog.pool.rows(part.items))
    return render(
        "web/pool.html",
        current="pool",
        kind=kind,
        counts=counts,
        part=part,
        query={} if kind is PoolKind.OPEN else {"kind": kind.value},
        tiles=pool_tiles(rows),
    )


@api.get("/pool")
async def list_pool(
    site: Site,
    kind: PoolKind = PoolKind.OPEN,
    offset: Offset = 0,
    limit: Limit = PAGE,
) -> PoolFaceRows:
    """List faces that belong to nobody; those that may be one person stand together."""
    ids = await _ids(site, kind)
    rows = await site.access.read(lambda app: app.catalog.pool.rows(ids[offset : offset + limit]))
    return PoolFaceRows(
        n_faces=len(ids),
        faces=[
            PoolFaceRow(
                id=row.id,
                photo_id=row.photo_id,
                taken_at=row.taken_at,
                guess_id=row.guess_id,
                guess=row.guess,
                distance=row.distance,
                mark=row.mark,
            )
            for row in rows
        ],
    )
