"""The map of faces, and its points in the JSON API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from facewatch.app import App
from facewatch.people.face_map import MappedFaces, MappedPerson, people_on
from facewatch.presentation.html import render
from facewatch.web.jobs import make_map
from facewatch.web.people import everybody
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(tags=["map"])

MOST_PEOPLE = 400
"""People whose names are on the map."""


class MappedPersonRow(BaseModel):
    """A person on the map."""

    person_id: int
    label: str
    is_named: bool
    n_faces: int
    x: float
    """The middle of the person's faces; so is y."""
    y: float


class MapRow(BaseModel):
    """The map as a whole."""

    is_ready: bool = False
    is_running: bool = False
    """It is being worked out."""
    is_outdated: bool = False
    n_faces: int = 0
    n_missing: int = 0
    """Faces that came since it was worked out."""
    fault: str = ""
    people: list[MappedPersonRow] = []


@dataclass(frozen=True, slots=True)
class _Map:
    points: bytes
    row: MapRow


NO_MAP = _Map(b"", MapRow())

POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("face", "<u4"), ("person", "<u4")])


async def _map(site: SiteParts) -> _Map:
    tiles = await everybody(site)

    def work(app: App) -> _Map:
        faces = app.face_map().faces()
        return _as_map(faces, people_on(faces, tiles, MOST_PEOPLE)) if faces is not None else NO_MAP

    return await site.access.cached(("map",), work)


def _as_map(faces: MappedFaces, people: Iterable[MappedPerson]) -> _Map:
    points = np.zeros(len(faces.ids), POINT)
    points["x"], points["y"] = faces.positions.T
    points["face"], points["person"] = faces.ids, faces.people
    row = MapRow(
        is_ready=True,
        is_outdated=faces.is_outdated,
        n_faces=len(points),
        n_missing=faces.n_missing,
        people=[_person_row(one) for one in people],
    )
    return _Map(points.tobytes(), row)


def _person_row(one: MappedPerson) -> MappedPersonRow:
    tile = one.tile
    return MappedPersonRow(
        person_id=tile.id, label=tile.label, is_named=tile.is_named, n_faces=one.n_faces, x=one.x, y=one.y
    )


def _now(site: SiteParts, row: MapRow) -> MapRow:
    job = site.jobs.map
    return row.model_copy(update={"is_running": job.is_running, "fault": job.fault})


@pages.get("/map", response_class=HTMLResponse)
async def map_page(site: Site) -> str:
    return render("web/map.html", current="map", map=_now(site, (await _map(site)).row))


@api.get("/map")
async def read_map(site: Site) -> MapRow:
    """Return how the map is, and where people are on it."""
    return _now(site, (await _map(site)).row)


@api.get("/map/points", response_class=Response, responses={200: {"content": {"application/octet-stream": {}}}})
async def read_points(site: Site) -> Response:
    """Return the points, 16 bytes each: x and y as float32, the face's id and the person's as uint32 (0: nobody), all
    little-endian."""
    return Response((await _map(site)).points, media_type="application/octet-stream")


@api.post("/map")
async def renew_map(site: Site) -> MapRow:
    """Work the map out, in a process of its own."""
    config = await site.access.read(lambda app: app.config)
    site.jobs.map.start(make_map, config, site.access.note_change)
    return _now(site, (await _map(site)).row)
