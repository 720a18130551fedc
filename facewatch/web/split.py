"""Splitting a person: the page with the proposed parts side by side, and splits in the JSON API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field, model_validator

from facewatch.app import App
from facewatch.people.arrange import Arranged, separate
from facewatch.people.person import person_at
from facewatch.presentation.corrections import split_facts
from facewatch.presentation.html import render
from facewatch.presentation.person import SplitGroup, separated_on_page, split_groups
from facewatch.web.corrections import DecisionOutcome
from facewatch.web.parameters import Name, Number, Numbers
from facewatch.web.site import Site

if TYPE_CHECKING:
    from facewatch.people.split import SplitPlan

pages = APIRouter()
api = APIRouter(tags=["a person"])

MOST_SHOWN = 120
"""Faces of a part that are shown at first."""

Into = Annotated[int | None, Query(ge=2, le=50)]
"""How many parts are wanted."""


class PartRow(BaseModel):
    """Faces that may be one person."""

    faces: list[int]
    n_photos: int
    n_confirmed: int
    """Faces that a user assigned or confirmed: these stay with the person."""
    spread: float | None
    """The mean distance between two of its faces."""
    distance: float | None
    """The mean distance to a face of the first part."""


class SplitProposal(BaseModel):
    """How a person can be split; the first part keeps the name."""

    parts: list[PartRow]
    notes: list[str]


class OtherPart(BaseModel):
    """Faces that are not the person: somebody new, with a name or without one, or a person who is there."""

    faces: Numbers
    new_name: Name | None = None
    person: Number | None = None

    @model_validator(mode="after")
    def is_one(self) -> OtherPart:
        if self.person is not None and self.new_name is not None:
            raise ValueError("name either a person by its id, or new_name")
        return self


class Split(BaseModel):
    parts: Annotated[list[OtherPart], Field(min_length=1, max_length=1000)]
    """What is in none of them stays with the person."""


@pages.get("/person/{person}/split", response_class=HTMLResponse)
async def split_page(
    site: Site, person: Number, into: Into = None, strict: bool = False, whole: bool = False
) -> Response:
    most = None if whole else MOST_SHOWN

    def work(app: App) -> tuple[SplitPlan, list[SplitGroup]]:
        plan = _plan(app, person, into=into, strict=strict)
        return plan, split_groups(app.catalog, plan, most=most)

    plan, groups = await site.access.cached(("split", person, into, strict, whole), work)
    if plan.person.id != person:
        return RedirectResponse(f"/person/{plan.person.id}/split", 307)
    return HTMLResponse(
        render(
            "web/split.html",
            current="people",
            person=plan.person,
            groups=groups,
            notes=list(split_facts(plan)),
            into=into,
            is_strict=plan.is_strict,
            may_keep=not plan.kept.n_assigned,
        )
    )


@api.get("/people/{person}/split")
async def propose_split(site: Site, person: Number, into: Into = None, strict: bool = False) -> SplitProposal:
    """Propose how a person can be split: into the obvious parts, into so many, or by a stricter distance."""
    plan = await site.access.read(lambda app: _plan(app, person, into=into, strict=strict))
    return SplitProposal(
        parts=[
            PartRow(
                faces=list(part.faces),
                n_photos=len(part.photos),
                n_confirmed=part.n_assigned,
                spread=part.spread,
                distance=part.distance,
            )
            for part in plan.parts
        ],
        notes=list(split_facts(plan)),
    )


def _plan(app: App, person: int, *, into: int | None, strict: bool) -> SplitPlan:
    """Return the proposal; `strict` counts where no number of parts is wanted."""
    from facewatch.people.split import plan_split

    who, engine = person_at(app.catalog, person), app.engine.in_use()
    settings, kept = app.identities.settings, app.kept.split
    return plan_split(app.catalog, engine, who, settings, into=into, is_strict=strict and into is None, kept=kept)


@api.post("/people/{person}/split")
async def split(site: Site, person: Number, wanted: Split) -> DecisionOutcome:
    """Make parts of a person other people, as one decision."""
    parts = [Arranged(tuple(part.faces), part.new_name, part.person) for part in wanted.parts]

    def work(app: App) -> DecisionOutcome:
        with app.corrections.deciding() as decisions:
            done = separate(app.catalog, decisions, person_at(app.catalog, person), parts)
        return DecisionOutcome(
            said=separated_on_page(app.catalog, done), entry_id=done.entry_id, people=[done.person_id, *done.people]
        )

    return await site.access.decide(work)
