"""The page of the status: what runs, what is wrong; scans started, and reclusters previewed, applied or dropped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from facewatch.app import App
from facewatch.errors import BusyError
from facewatch.people.recluster import ReclusterPreview
from facewatch.presentation.corrections import said_on_page
from facewatch.presentation.html import render
from facewatch.presentation.recluster import fate, names_of, preview_lines, preview_row
from facewatch.presentation.reports import status_row
from facewatch.presentation.status import SCANNING_ALREADY, STARTED, STOPPING, status_page
from facewatch.reports.status import Status, at_work
from facewatch.settings import recluster_names
from facewatch.web.corrections import Outcome
from facewatch.web.jobs import Preview
from facewatch.web.site import Parts, Site

pages = APIRouter()
api = APIRouter(tags=["status"])

MOST_SHOWN = 60
"""People of a preview that are shown."""
FACES_SHOWN = 6
"""Of each, before and after."""

METHODS = ("whispers", "hdbscan", "dbscan", "spectral", "linkage")


class Said(BaseModel):
    said: str


class Wanted(BaseModel):
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
    fault: str
    preview: dict[str, Any] | None = Field(default=None)
    """As `facewatch recluster --dry-run --json` prints it; null: it is not ready."""


async def _status(site: Parts) -> Status:
    return await site.access.read(lambda app: app.status())


@pages.get("/status", response_class=HTMLResponse)
async def status_as_page(site: Site) -> str:
    current = await _status(site)
    preview = site.jobs.preview
    return render(
        "web/status.html",
        current="status",
        status=status_page(current, datetime.now(UTC)),
        is_scanning=site.jobs.is_scanning,
        scan_fault=site.jobs.scan_fault,
        fault=site.access.fault,
        methods=[(method, recluster_names(method)) for method in METHODS],
        preview=preview,
        given=preview.given if preview else {},
        changed=_changed(preview),
        preview_lines=list(preview_lines(preview.result)) if preview and preview.result else [],
    )


def _changed(preview: Preview | None) -> list[tuple[str, str, tuple[int, ...], tuple[int, ...], int, int]]:
    """Return who, what becomes of it, faces before and after, and how many these are."""
    if preview is None or preview.result is None:
        return []
    names = names_of(preview.result)
    return [
        (
            names[one.number],
            fate(one, names),
            one.before[:FACES_SHOWN],
            one.after[:FACES_SHOWN],
            len(one.before),
            len(one.after),
        )
        for one in preview.result.people[:MOST_SHOWN]
    ]


@api.get("/status")
async def read_status(site: Site) -> dict[str, Any]:
    """Return what `facewatch status --json` prints."""
    return status_row(await _status(site))


@api.post("/scan")
async def start_scan(site: Site) -> Said:
    """Scan the libraries, in a process of its own."""

    def check(app: App) -> App:
        runner, _ = at_work(app.catalog.path)
        if runner is not None:
            raise BusyError(f"{runner}: wait for it" if not runner.is_watcher else SCANNING_ALREADY)
        return app

    config = (await site.access.read(check)).config
    await site.jobs.start_scan(config)
    return Said(said=STARTED)


@api.post("/scan/stop")
async def stop_scan(site: Site) -> Said:
    """End a scan that was started here."""
    site.jobs.stop_scan()
    return Said(said=STOPPING)


@api.post("/recluster")
async def preview_recluster(site: Site, wanted: Wanted) -> PreviewRow:
    """Work out what a recluster would do; nothing is changed. /recluster says when it is ready."""
    config = await site.access.read(lambda app: app.config)
    given = wanted.model_dump(exclude={"is_from_scratch"}, exclude_none=True)
    return _row(site.jobs.start_preview(config, given, is_from_scratch=wanted.is_from_scratch))


@api.get("/recluster")
async def read_preview(site: Site) -> PreviewRow:
    """Return the preview that was asked for last; its number is 0 where there is none."""
    return _row(site.jobs.preview or Preview(0, {}, is_from_scratch=False))


def _row(preview: Preview) -> PreviewRow:
    row = preview_row(preview.result) if preview.result else None
    return PreviewRow(number=preview.number, is_ready=preview.result is not None, fault=preview.fault, preview=row)


@api.post("/recluster/{number}/apply")
async def apply_preview(site: Site, number: Annotated[int, Path(ge=1, lt=2**31)]) -> Outcome:
    """Do exactly what was previewed, as one decision."""
    preview: ReclusterPreview = site.jobs.result(number)

    def work(app: App) -> Outcome:
        decided = app.reclusterer().apply(preview)
        return Outcome(said=said_on_page(app.catalog, decided), entry_id=decided.entry_id, people=list(decided.people))

    outcome = await site.access.decide(work)
    site.jobs.drop_preview()
    return outcome


@api.post("/recluster/drop")
async def drop_preview(site: Site) -> Said:
    """Forget the preview."""
    site.jobs.drop_preview()
    return Said(said="dropped: nothing was changed")
