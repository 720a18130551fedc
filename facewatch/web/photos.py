"""The page that finds photos, and photos in the JSON API."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from facewatch.app import App
from facewatch.catalog import display
from facewatch.catalog.photos import FoundPhoto
from facewatch.errors import NotKnownError, QueryError
from facewatch.people.photos.complete import search_completions
from facewatch.people.photos.finder import OfflinePlaces
from facewatch.presentation.html import render
from facewatch.presentation.people import person_note
from facewatch.presentation.photos import found_line, photo_tiles, totals_lines
from facewatch.web.paging import Pages
from facewatch.web.parameters import Limit, Offset
from facewatch.web.people import everybody
from facewatch.web.photo import Words
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(tags=["photos"])

PAGE = 120
"""Photos on one page."""

OFFLINE_SECONDS = 10
"""How long what is offline is believed to be."""


class FoundPerson(BaseModel):
    person_id: int
    label: str
    face_id: int | None
    """null: as a user said, without a face."""


class FoundRow(BaseModel):
    """A photo that was found."""

    id: int
    taken_at: str
    width: int
    height: int
    n_faces: int
    files: list[str]
    """All copies, what of their names is no text replaced; none: it was deleted."""
    is_offline: bool
    people: list[FoundPerson]


class FoundRows(BaseModel):
    """Part of the photos that a search finds, the newest first."""

    n_photos: int
    n_deleted: int
    """As many more would be found, but no file holds them any more."""
    n_undated: int
    """As many more would be found if it were known when they were taken."""
    photos: list[FoundRow]


class CompletionRow(BaseModel):
    """A way in which a search may go on."""

    text: str
    """The whole search then."""
    label: str
    """What comes in the place of what was typed last."""
    note: str
    cover_id: int | None


class CompletionRows(BaseModel):
    completions: list[CompletionRow]


@dataclass(frozen=True, slots=True)
class _FoundPhotos:
    """What a search finds as a whole."""

    ids: Sequence[int]
    line: str
    notes: tuple[str, ...]
    n_deleted: int
    n_undated: int


_NOTHING = _FoundPhotos((), line="", notes=(), n_deleted=0, n_undated=0)


def _search(app: App, words: str) -> _FoundPhotos:
    finder = app.photos()
    query = finder.understand(words)
    totals = finder.totals(query)
    return _FoundPhotos(
        app.catalog.photo_search.ids(query),
        line=found_line(query, totals, app.catalog.people.names()),
        notes=tuple(totals_lines(totals)),
        n_deleted=totals.n_deleted,
        n_undated=totals.n_undated,
    )


async def _found(site: SiteParts, words: str) -> _FoundPhotos:
    return await site.access.cached(("search", words), lambda app: _search(app, words))


async def _these(site: SiteParts, photos: Sequence[int]) -> tuple[list[FoundPhoto], OfflinePlaces]:
    found = await site.access.read(lambda app: app.catalog.photo_search.found(photos))
    return found, await offline_places(site)


async def offline_places(site: SiteParts) -> OfflinePlaces:
    """Return what is offline, as it was some seconds ago at most: asking a drive takes as long as that answers."""
    moment = int(time.monotonic() // OFFLINE_SECONDS)
    return await site.access.cached(("offline", moment), lambda app: app.photos().offline())


@pages.get("/photos", response_class=HTMLResponse)
async def photos_page(site: Site, paging: Pages, q: Words = "") -> str:
    """Words that mean nothing, perhaps because they are still being typed, are no error of this page."""
    search, fault = _NOTHING, None
    try:
        search = await _found(site, q)
    except (QueryError, NotKnownError) as error:
        fault = error
    part = paging.part(search.ids, PAGE)
    found, offline = await _these(site, part.items)
    return render(
        "web/photos.html",
        current="photos",
        q=q,
        query={"q": q} if q else {},
        line=search.line,
        notes=search.notes,
        fault=fault.on_page if fault else "",
        is_understood=not isinstance(fault, QueryError),
        part=part,
        tiles=photo_tiles(found, offline),
    )


@api.get("/photos")
async def list_photos(
    site: Site,
    q: Words = "",
    offset: Offset = 0,
    limit: Limit = PAGE,
) -> FoundRows:
    """Find photos by the words of `facewatch photos`: with Anna Ben, without Carl, faces:3+, 2019, in:Holidays."""
    search = await _found(site, q)
    found, offline = await _these(site, search.ids[offset : offset + limit])
    return FoundRows(
        n_photos=len(search.ids),
        n_deleted=search.n_deleted,
        n_undated=search.n_undated,
        photos=[_row(photo, offline) for photo in found],
    )


@api.get("/completions")
async def complete(site: Site, q: Words = "", limit: Annotated[int, Query(ge=1, le=50)] = 8) -> CompletionRows:
    """Complete a search for photos while it is typed: names, folders, words."""
    people = await everybody(site)
    folders = await site.access.cached("folders", lambda app: app.photos().folder_names())
    found = search_completions(q, people, folders, most=limit)
    return CompletionRows(
        completions=[
            CompletionRow(
                text=one.text,
                label=one.label,
                note=person_note(one.person) if one.person else "",
                cover_id=one.person.cover_id if one.person else None,
            )
            for one in found
        ]
    )


def _row(photo: FoundPhoto, offline: OfflinePlaces) -> FoundRow:
    return FoundRow(
        id=photo.id,
        taken_at=photo.taken_at,
        width=photo.width,
        height=photo.height,
        n_faces=photo.n_faces,
        files=[display(file.path) for file in photo.files],
        is_offline=offline.is_offline(photo),
        people=[FoundPerson(person_id=one.person_id, label=one.label, face_id=one.face_id) for one in photo.people],
    )
