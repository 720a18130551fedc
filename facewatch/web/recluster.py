"""Grouping again: previewed with its parameters, shown as faces before and after, then applied or dropped."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from facewatch.app import App
from facewatch.clustering import installed_methods
from facewatch.errors import OutdatedError
from facewatch.people.recluster_preview import Fate
from facewatch.presentation.html import render
from facewatch.presentation.recluster import (
    DROPPED,
    METHODS,
    change_cards,
    chosen_settings,
    fate_counts,
    preview_row,
)
from facewatch.settings import ReclusterField, recluster_fields
from facewatch.web.corrections import DecisionOutcome, SaidRow, outcome_of
from facewatch.web.jobs import Preview
from facewatch.web.paging import Pages
from facewatch.web.parameters import Number
from facewatch.web.site import Site

pages = APIRouter()
api = APIRouter(tags=["recluster"])

PAGE = 24
"""People on one page of a preview."""


class WantedRecluster(BaseModel):
    """How to group; null: as it is set."""

    method: str | None = None
    strictness: float | None = None
    min_faces: int | None = None
    eps: float | None = None
    min_samples: int | None = None
    k_reciprocal: int | None = None
    verification_threshold: float | None = None
    n_clusters: int | None = None
    is_from_scratch: bool = False
    """Whether groups about which nothing was decided are made again, too."""


class PreviewRow(BaseModel):
    """The preview of a recluster."""

    number: int
    is_ready: bool
    stage: str
    """What is being done to work it out."""
    fault: str
    outdated: str
    """Why it cannot be applied any more; "": as far as is known it can."""
    preview: dict[str, Any] | None = None
    """As `facewatch recluster --dry-run --json` prints it; null: it is not ready."""


@pages.get("/recluster", response_class=HTMLResponse)
async def recluster(site: Site, page: Pages, fate: Annotated[Fate | None, Query()] = None) -> str:
    def work(app: App) -> tuple[list[ReclusterField], str, int]:
        return recluster_fields(app.config), app.config["cluster.method"], app.catalog.faces.counts()["pool"]

    fields, method, n_pool = await site.access.cached("recluster", work)
    preview = site.jobs.preview
    result = preview.result if preview else None
    people = [one for one in result.people if fate in (None, one.fate)] if result else []
    part = page.part(people, PAGE)
    return render(
        "web/recluster.html",
        current="status",
        fields=fields,
        method=method,
        methods={name: METHODS[name] for name in installed_methods()},
        n_pool=n_pool,
        preview=preview,
        given=preview.given if preview else {},
        result=result,
        how=chosen_settings(result, preview.given) if preview and result else "",
        counts=fate_counts(result) if result else [],
        fate=fate.value if fate else "",
        part=part,
        cards=change_cards(result, part.items) if result else [],
    )


@api.post("/recluster")
async def preview_recluster(site: Site, wanted: WantedRecluster) -> PreviewRow:
    """Work out what a recluster would do; nothing is changed. GET says when it is ready, and so do events."""
    config = await site.access.read(lambda app: app.config)
    given = wanted.model_dump(exclude={"is_from_scratch"}, exclude_none=True)
    return _row(site.jobs.start_preview(config, given, is_from_scratch=wanted.is_from_scratch))


@api.get("/recluster")
async def read_preview(site: Site) -> PreviewRow:
    """Return the preview that was asked for last; its number is 0 where there is none."""
    return _row(site.jobs.preview or Preview(0, {}, is_from_scratch=False))


def _row(preview: Preview) -> PreviewRow:
    return PreviewRow(
        number=preview.number,
        is_ready=preview.result is not None,
        stage=preview.stage,
        fault=preview.fault,
        outdated=preview.outdated,
        preview=preview_row(preview.result) if preview.result else None,
    )


@api.post("/recluster/{number}/apply")
async def apply_preview(site: Site, number: Number) -> DecisionOutcome:
    """Do exactly what was previewed, as one decision; where somebody whom it would change is not as they were then,
    nothing is done."""
    preview = site.jobs.result(number)

    def work(app: App) -> DecisionOutcome:
        return outcome_of(app, app.reclusterer().apply(preview))

    try:
        outcome = await site.access.decide(work)
    except OutdatedError as error:
        site.jobs.note_outdated(number, error)
        raise
    site.jobs.drop_preview()
    return outcome


@api.post("/recluster/drop")
async def drop_preview(site: Site) -> SaidRow:
    """Forget the preview; one that is being worked out is ended."""
    site.jobs.drop_preview()
    return SaidRow(said=DROPPED)
