"""The page of everybody, and people in the JSON API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from facewatch.people.completion import Completion, completions
from facewatch.people.overview import FEW_PHOTOS, PersonTile, Which, fold_few, matching
from facewatch.presentation.html import render
from facewatch.presentation.people import nobody_yet, person_note
from facewatch.reports.status import at_work
from facewatch.web.paging import Pages
from facewatch.web.parameters import Limit, Offset
from facewatch.web.site import Site, SiteParts

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.fs.locks import Holder
    from facewatch.heartbeat import Heartbeat

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


class NameRow(BaseModel):
    """Somebody who may be meant by what is typed."""

    id: int
    name: str
    note: str
    """What tells people of similar names apart."""
    n_photos: int
    cover_id: int | None
    is_exact: bool
    """This is the name, whole."""


class NameRows(BaseModel):
    people: list[NameRow]


async def everybody(site: SiteParts) -> tuple[PersonTile, ...]:
    """Return everybody who is in the library now, as the catalog has them."""
    return await site.access.everybody()


@pages.get("/", response_class=HTMLResponse)
async def people(site: Site, paging: Pages, q: str = "", which: Which = Which.ALL, few: bool = False) -> str:
    """`few`: also those without a name who are on few photos."""
    tiles = await everybody(site)
    if not tiles:
        return await _nobody(site)
    found, n_few = matching(tiles, q, which=which), 0
    if not (q or few or which is Which.HIDDEN):
        found, n_few = fold_few(found)
    query = {"q": q, "which": which.value if which is not Which.ALL else "", "few": "true" if few else ""}
    return render(
        "web/people.html",
        current="people",
        q=q,
        which=which,
        query={name: value for name, value in query.items() if value},
        part=paging.part(found, PAGE),
        size=PAGE,
        n_named_found=sum(tile.is_named for tile in found) if which is Which.ALL and not q else 0,
        n_few=n_few,
        few_photos=FEW_PHOTOS,
        counts={one: sum(one.includes(tile) for tile in tiles) for one in Which},
    )


async def _nobody(site: SiteParts) -> str:
    def work(app: App) -> tuple[dict[str, int], Holder | None, Heartbeat | None]:
        return app.catalog.files.counts() | app.catalog.faces.counts(), *at_work(app.catalog.path)

    counts, runner, live = await site.access.read(work)
    nobody = nobody_yet(n_photos=counts["photos"], n_faces=counts["faces"], is_running=runner is not None, live=live)
    return render("web/nobody.html", current="people", nobody=nobody)


@api.get("/people")
async def list_people(
    site: Site,
    q: str = "",
    which: Which = Which.ALL,
    offset: Offset = 0,
    limit: Limit = PAGE,
) -> PeopleRows:
    """List people whose name or label holds `q`: named ones first, then by how many photos they are on."""
    tiles = matching(await everybody(site), q, which=which)
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


@api.get("/names")
async def names(
    site: Site,
    q: Annotated[str, Query(max_length=200)] = "",
    without: Annotated[int | None, Query()] = None,
    unnamed: bool = False,
    limit: Annotated[int, Query(ge=1, le=50)] = 8,
) -> NameRows:
    """Complete a name: whose name begins with `q` first, then whose holds it, then names like it."""
    found = completions(
        await everybody(site), q, most=limit, without=() if without is None else (without,), with_unnamed=unnamed
    )
    return NameRows(people=[_name_row(one) for one in found])


def _name_row(found: Completion) -> NameRow:
    one = found.person
    return NameRow(
        id=one.id,
        name=one.label,
        note=person_note(one),
        n_photos=one.n_photos,
        cover_id=one.cover_id,
        is_exact=found.is_exact,
    )
