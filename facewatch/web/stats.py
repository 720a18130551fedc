"""The page of the catalog in numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from facewatch.presentation.html import render
from facewatch.presentation.html.stats import FaceSources, stats_page
from facewatch.presentation.reports import stats_row
from facewatch.reports.stats import Stats
from facewatch.web.jobs import make_stats
from facewatch.web.site import Site

pages = APIRouter()
api = APIRouter(tags=["statistics"])

FACES = FaceSources("/media/face/{}".format, "/face/{}".format)


@pages.get("/stats", response_class=HTMLResponse)
async def stats_as_page(site: Site, renew: bool = False) -> str:
    """Show the numbers as they were worked out last: with many faces that takes some seconds."""
    job = site.jobs.stats
    if (job.result is None and not job.fault) or renew:
        config = await site.access.read(lambda app: app.config)
        job.start(make_stats, config, site.access.note_change)
    if not isinstance(job.result, Stats):
        return render("web/waiting.html", current="stats", fault=job.fault)
    made_at = f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"
    return stats_page(job.result, FACES, made_at=made_at, frame="web/report.html")


@pages.get("/report.css")
async def report_style() -> Response:
    """The style of pages that are files, too."""
    return Response(render("style.css"), media_type="text/css")


@api.get("/stats")
async def read_stats(site: Site) -> dict[str, Any]:
    """Return what `facewatch stats --json` prints."""
    return stats_row(await site.access.cached("stats", lambda app: app.stats()))
