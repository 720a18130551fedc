"""The map of faces, and its points in the JSON API."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from facewatch.app import App
from facewatch.presentation.html import render
from facewatch.web.jobs import make_map
from facewatch.web.people import everybody
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(tags=["map"])

MOST_ISLANDS = 400
"""People, the largest, whose names are on the map."""


class IslandRow(BaseModel):
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

    is_ready: bool
    is_running: bool
    """It is being worked out."""
    is_outdated: bool
    n_faces: int
    fault: str
    people: list[IslandRow]


@dataclass(frozen=True, slots=True)
class _Map:
    points: bytes
    row: MapRow


NO_MAP = _Map(b"", MapRow(is_ready=False, is_running=False, is_outdated=False, n_faces=0, fault="", people=[]))

POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("face", "<u4"), ("person", "<u4")])


async def _map(site: SiteParts) -> _Map:
    tiles = {tile.id: tile for tile in await everybody(site)}

    def work(app: App) -> _Map:
        faces = app.face_map().faces()
        if faces is None:
            return NO_MAP
        points = np.zeros(len(faces.ids), POINT)
        points["x"], points["y"] = faces.positions.T
        points["face"], points["person"] = faces.ids, faces.people
        islands = []
        for person_id in np.unique(faces.people).tolist():
            tile = tiles.get(person_id)
            if tile is not None:
                mine = faces.positions[faces.people == person_id] if len(tiles) < MOST_ISLANDS else None
                islands.append((tile, mine))
        islands.sort(key=lambda one: (not one[0].is_named, -one[0].n_faces))
        rows = []
        for tile, mine in islands[:MOST_ISLANDS]:
            own = faces.positions[faces.people == tile.id] if mine is None else mine
            x, y = np.median(own, axis=0).tolist()
            rows.append(
                IslandRow(person_id=tile.id, label=tile.label, is_named=tile.is_named, n_faces=len(own), x=x, y=y)
            )
        row = MapRow(
            is_ready=True,
            is_running=False,
            is_outdated=faces.is_outdated,
            n_faces=len(points),
            fault="",
            people=rows,
        )
        return _Map(points.tobytes(), row)

    return await site.access.cached(("map",), work)


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
