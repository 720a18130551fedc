"""The page of everybody, and people in the JSON API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from facewatch.people.overview import PersonTile, matching
from facewatch.presentation.html import render
from facewatch.web.site import Site

pages = APIRouter()
api = APIRouter(tags=["people"])

PAGE = 200
"""People on one page; more are loaded as one scrolls."""


class PersonRow(BaseModel):
    """A person in a list."""

    id: int
    label: str
    is_named: bool
    is_hidden: bool
    n_photos: int
    n_faces: int
    cover_id: int | None
    """The face that stands for the person; /media/face/{cover_id} is its picture."""


class PeopleRows(BaseModel):
    """Part of a list of people."""

    n_people: int
    """In the whole list."""
    people: list[PersonRow]


@pages.get("/", response_class=HTMLResponse)
async def people(
    site: Site, q: str = "", page: Annotated[int, Query(ge=1, le=100_000)] = 1, hidden: bool = False
) -> str:
    tiles = await site.access.cached("overview", lambda app: app.overview.tiles())
    found = matching(tiles, q, is_hidden=hidden)
    return render(
        "web/people.html",
        current="people",
        q=q,
        page=page,
        n_pages=-(-len(found) // PAGE),
        tiles=found[(page - 1) * PAGE : page * PAGE],
        n_found=len(found),
        n_hidden=sum(tile.is_hidden for tile in tiles),
        is_hidden=hidden,
    )


@api.get("/people")
async def list_people(
    site: Site,
    q: str = "",
    hidden: bool = False,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
) -> PeopleRows:
    """List people whose name or label holds `q`: named ones first, then by how many photos they are on."""
    tiles = matching(await site.access.cached("overview", lambda app: app.overview.tiles()), q, is_hidden=hidden)
    return PeopleRows(n_people=len(tiles), people=[_row(tile) for tile in tiles[offset : offset + limit]])


def _row(tile: PersonTile) -> PersonRow:
    return PersonRow(
        id=tile.id,
        label=tile.label,
        is_named=tile.is_named,
        is_hidden=tile.is_hidden,
        n_photos=tile.n_photos,
        n_faces=tile.n_faces,
        cover_id=tile.cover_id,
    )
