"""The page of one person, and a person in the JSON API."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel

from facewatch.app import App
from facewatch.catalog.person import FacesBy
from facewatch.people.person import (
    Companion,
    FaceOrder,
    PersonFace,
    PersonFacts,
    described_faces,
    facts_about,
    ordered_faces,
)
from facewatch.people.resemblance import Doubts, SimilarPerson
from facewatch.presentation.html import render
from facewatch.presentation.person import (
    own_similarity_text,
    similar_text,
    similar_tiles,
    strip_of,
    tiles_by_date,
    tiles_by_doubt,
    title_of,
)
from facewatch.web.paging import ListPart, Pages, Paging
from facewatch.web.parameters import Limit, Number, Offset
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(tags=["a person"])

PAGE = 240
"""Faces on one page; more are loaded as one scrolls."""

MOST_SIMILAR = 8


class Span(BaseModel):
    """The time that somebody's photos were taken in, YYYY-MM-DDTHH:MM:SS each; "": nobody knows."""

    first: str
    last: str


class PersonDetails(BaseModel):
    """One person."""

    id: int
    label: str
    is_named: bool
    is_hidden: bool
    born: str | None
    folder: str | None
    """Below the people folder."""
    cover_id: int | None
    n_photos: int
    """In the library now; also those that the person is in without a face."""
    n_faces: int
    """All of them; of these"""
    n_confirmed: int
    n_gone: int
    """are on photos that are not in the library now."""
    taken: Span


class PersonFaceRow(BaseModel):
    """A face of a person."""

    id: int
    photo_id: int
    taken_at: str
    is_confirmed: bool
    is_drawn: bool
    tier: str
    """found, match or show: what the face may do by its quality."""
    is_in_library: bool
    distance: float | None = None
    """To the middle of the person's other faces; only with sort=doubt, as are the next three."""
    next_id: int | None = None
    """The other person who looks most like it."""
    next_label: str | None = None
    next_distance: float | None = None


class PersonFaceRows(BaseModel):
    """Part of a person's faces."""

    n_faces: int
    """In the whole list."""
    faces: list[PersonFaceRow]


class CompanionRow(BaseModel):
    """Somebody who is on photos with a person."""

    id: int
    label: str
    is_named: bool
    n_photos: int
    """Photos that both are on."""
    cover_id: int | None


class CompanionRows(BaseModel):
    people: list[CompanionRow]


class SimilarRow(BaseModel):
    """Somebody who looks like a person."""

    id: int
    label: str
    is_named: bool
    similarity: float
    """The mean cosine between a face of the one and a face of the other, -1 to 1."""
    chance: float
    """How probable it is that they are one, 0 to 1, by the distances of their faces alone."""
    n_photos: int
    n_together: int
    """Photos that both are on."""
    is_apart: bool
    """A user said that they are two."""
    text: str
    cover_id: int | None


class SimilarRows(BaseModel):
    own_similarity: float | None
    """The mean cosine between two faces of the person itself; null: there are no two."""
    people: list[SimilarRow]


async def facts_of(site: SiteParts, person: int) -> PersonFacts:
    """Return what is known of a person as a whole, as the catalog has it."""
    return await site.access.cached(("person", person), lambda app: facts_about(app.catalog, app.overview, person))


async def doubts_of(site: SiteParts, person: int, sort: FaceOrder) -> Doubts | None:
    """Return which of a person's faces are in doubt; None: that is not how they are sorted."""
    if sort is FaceOrder.DATE:
        return None
    return await site.access.cached(("doubts", person), lambda app: app.resemblance.doubts(person))


@pages.get("/person/{person}", response_class=HTMLResponse)
async def person_page(
    site: Site, paging: Pages, person: Number, sort: FaceOrder = FaceOrder.DATE, by: FacesBy = FacesBy.ALL
) -> Response:
    # Beside each other, as far as there are cores.
    (part, faces), facts = await asyncio.gather(_part_of(site, person, sort, by, paging), facts_of(site, person))
    if facts.person.id != person:
        return RedirectResponse(f"/person/{facts.person.id}", 307)
    tiles = tiles_by_doubt(faces) if sort is FaceOrder.DOUBT else tiles_by_date(faces, facts.totals)
    return HTMLResponse(
        render(
            "web/person.html",
            current="people",
            person=facts.person,
            title=title_of(facts),
            strip=strip_of(facts),
            tiles=tiles,
            part=part,
            sort=sort,
            by=by,
            origin=f"person:{facts.person.id}:{sort}:{by}",
            query=_query(sort, by),
        )
    )


async def _part_of(
    site: SiteParts, person: int, sort: FaceOrder, by: FacesBy, paging: Paging
) -> tuple[ListPart[int], list[PersonFace]]:
    """Return the part of a person's faces that is wanted of all of them."""
    doubts = await doubts_of(site, person, sort)

    def work(app: App) -> tuple[ListPart[int], list[PersonFace]]:
        part = paging.part(ordered_faces(app.catalog, person, doubts, by=by), PAGE)
        return part, described_faces(app.catalog, part.items, doubts)

    return await site.access.read(work)


def _query(sort: FaceOrder, by: FacesBy) -> dict[str, str]:
    """Return the parameters that say which faces are shown, as far as they are not the usual ones."""
    said = {"sort": (sort, FaceOrder.DATE), "by": (by, FacesBy.ALL)}
    return {name: str(value) for name, (value, usual) in said.items() if value is not usual}


@pages.get("/person/{person}/look-alikes", response_class=HTMLResponse)
async def look_alikes_page(site: Site, person: Number) -> Response:
    facts, similar = await asyncio.gather(facts_of(site, person), similar_to(site, person))
    one = facts.person
    if one.id != person:
        return RedirectResponse(f"/person/{one.id}/look-alikes", 307)
    own = await own_similarity_of(site, one.id)
    return HTMLResponse(
        render(
            "web/look_alikes.html",
            current="people",
            person=one,
            cover_id=facts.cover_id,
            hint=own_similarity_text(own, one.label),
            tiles=similar_tiles(similar, one.label),
        )
    )


@api.get("/people/{person}")
async def one_person(site: Site, person: Number) -> PersonDetails:
    """Return a person, or whom it has become part of."""
    facts = await facts_of(site, person)
    one, totals = facts.person, facts.totals
    return PersonDetails(
        id=one.id,
        label=one.label,
        is_named=one.name is not None,
        is_hidden=one.is_hidden,
        born=one.born,
        folder=one.folder,
        cover_id=facts.cover_id,
        n_photos=one.n_photos,
        n_faces=totals.n_faces,
        n_confirmed=totals.n_by_user,
        n_gone=totals.n_gone,
        taken=Span(first=totals.first, last=totals.last),
    )


@api.get("/people/{person}/faces")
async def list_faces(
    site: Site,
    person: Number,
    sort: FaceOrder = FaceOrder.DATE,
    by: FacesBy = FacesBy.ALL,
    offset: Offset = 0,
    limit: Limit = 200,
) -> PersonFaceRows:
    """List a person's faces: newest first, or those first that are most in doubt."""
    who = (await facts_of(site, person)).person.id
    doubts = await doubts_of(site, who, sort)

    def work(app: App) -> PersonFaceRows:
        ids = ordered_faces(app.catalog, who, doubts, by=by)
        faces = described_faces(app.catalog, ids[offset : offset + limit], doubts)
        return PersonFaceRows(n_faces=len(ids), faces=[_face_row(one) for one in faces])

    return await site.access.read(work)


def _face_row(one: PersonFace) -> PersonFaceRow:
    face, doubt = one.face, one.doubt
    return PersonFaceRow(
        id=face.id,
        photo_id=face.photo_id,
        taken_at=face.taken_at,
        is_confirmed=face.is_by_user,
        is_drawn=face.is_drawn,
        tier=face.tier.value,
        is_in_library=face.file is not None,
        distance=doubt.distance if doubt else None,
        next_id=doubt.next_id if doubt else None,
        next_label=doubt.next_label if doubt else None,
        next_distance=doubt.next_distance if doubt else None,
    )


@api.get("/people/{person}/with")
async def list_companions(site: Site, person: Number) -> CompanionRows:
    """List who is on most photos with a person."""
    facts = await facts_of(site, person)
    return CompanionRows(people=[_companion_row(one) for one in facts.companions])


def _companion_row(one: Companion) -> CompanionRow:
    return CompanionRow(
        id=one.person_id, label=one.label, is_named=one.is_named, n_photos=one.n_photos, cover_id=one.cover_id
    )


async def similar_to(site: SiteParts, person: int) -> list[SimilarPerson]:
    """Return who looks most like a person."""
    return await site.access.cached(("similar", person), lambda app: app.resemblance.similar(person, MOST_SIMILAR))


async def own_similarity_of(site: SiteParts, person: int) -> float | None:
    """Return how alike the faces of a person are."""
    return await site.access.cached(("own similarity", person), lambda app: app.resemblance.own_similarity(person))


@api.get("/people/{person}/look-alikes")
async def list_look_alikes(site: Site, person: Number) -> SimilarRows:
    """List who looks most like a person."""
    one = (await facts_of(site, person)).person
    own, similar = await own_similarity_of(site, one.id), await similar_to(site, one.id)
    return SimilarRows(own_similarity=own, people=[_similar_row(other, one.label) for other in similar])


def _similar_row(one: SimilarPerson, label: str) -> SimilarRow:
    return SimilarRow(
        id=one.person_id,
        label=one.label,
        is_named=one.is_named,
        similarity=one.similarity,
        chance=one.chance,
        n_photos=one.n_photos,
        n_together=one.n_together,
        is_apart=one.is_apart,
        text=similar_text(one, label),
        cover_id=one.cover_id,
    )
