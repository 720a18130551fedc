"""The page of a search by photo or face, and that search in the JSON API."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from facewatch.app import App
from facewatch.people.search import NearFaces
from facewatch.presentation.html import render
from facewatch.presentation.refusals import NO_BODY
from facewatch.presentation.search import near_people, near_tiles, searched
from facewatch.web.photo import BoxRow
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(tags=["search"])

MOST_FOUND = 60
FaceToFind = Annotated[int, Query(ge=0, lt=2**63)]
Most = Annotated[int, Query(ge=1, le=500)]


class FoundFaceRow(BaseModel):
    """A face that looks like the one that was searched for."""

    face_id: int
    person_id: int | None
    person: str | None
    distance: float
    """Euclidean between unit vectors."""
    is_near: bool | None
    """Whether a good face as near as this would be taken for the same person's; null: that is not known."""


class SearchedFace(BoxRow):
    """A face, and those nearest to it."""

    number: int
    """In its photo, from left to right, from 1."""
    face_id: int | None
    """null: the photo is not in the catalog."""
    person_id: int | None
    person: str | None
    near_enough: float | None
    found: list[FoundFaceRow]
    is_exact: bool
    """Whether every face was compared; else an index found those that are likely to be the nearest."""


class SearchedFaces(BaseModel):
    faces: list[SearchedFace]


async def _like_face(site: SiteParts, face: int, most: int) -> NearFaces:
    return await site.access.read(lambda app: app.search.like_face(face, k=most))


async def _like_photo(site: SiteParts, request: Request, most: int) -> list[NearFaces]:
    """Return the faces of a photo that is sent as the body; it is kept nowhere."""
    content = await _body(request)

    def work(app: App) -> list[NearFaces]:
        with tempfile.TemporaryDirectory(prefix="facewatch-search-") as folder:
            photo = Path(folder, "the photo")
            photo.write_bytes(content)
            return app.search.like(photo, k=most, called="the photo")

    return await site.access.analyse(work)


async def _body(request: Request) -> bytes:
    """Return what was sent; no more than it may be comes through (see `security`)."""
    content = await request.body()
    if not content:
        raise HTTPException(422, NO_BODY)
    return content


@pages.get("/search", response_class=HTMLResponse)
async def search_page(site: Site, face: FaceToFind = 0) -> str:
    near = await _like_face(site, face, MOST_FOUND) if face else None
    return _page([near] if near else [], face)


@pages.post("/search", response_class=HTMLResponse)
async def searched_page(site: Site, request: Request) -> str:
    return _page(await _like_photo(site, request, MOST_FOUND), 0)


def _page(faces: list[NearFaces], face: int) -> str:
    return render(
        "web/search.html",
        current="search",
        face=face,
        searched=searched(faces) if faces and not face else "",
        results=[(near, near_people(near), near_tiles(near)) for near in faces],
    )


@api.get("/search")
async def search_by_face(site: Site, face: Annotated[int, Query(ge=1, lt=2**63)], limit: Most = 20) -> SearchedFace:
    """Find the faces nearest to one of the catalog."""
    return _row(await _like_face(site, face, limit))


@api.post(
    "/search",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def search_by_photo(site: Site, request: Request, limit: Most = 20) -> SearchedFaces:
    """Find the faces nearest to those of a photo, whose bytes are the body; it is kept nowhere."""
    return SearchedFaces(faces=[_row(near) for near in await _like_photo(site, request, limit)])


def _row(near: NearFaces) -> SearchedFace:
    box = near.box
    return SearchedFace(
        number=near.number,
        face_id=near.face_id,
        person_id=near.person_id,
        person=near.person,
        x=box.x if box else 0,
        y=box.y if box else 0,
        w=box.w if box else 0,
        h=box.h if box else 0,
        near_enough=near.near_enough,
        found=[
            FoundFaceRow(
                face_id=one.face_id,
                person_id=one.person_id,
                person=one.person,
                distance=one.distance,
                is_near=one.distance < near.near_enough if near.near_enough is not None else None,
            )
            for one in near.found
        ],
        is_exact=near.is_exact,
    )
