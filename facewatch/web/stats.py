"""The page of the catalog in numbers, and that of the newest evaluation."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from facewatch.app import App
from facewatch.errors import NotKnownError
from facewatch.presentation import local_time
from facewatch.presentation.html import render
from facewatch.presentation.html.stats import FaceSources, remark_on, stats_page
from facewatch.presentation.reports import NO_EVALUATION, stats_row
from facewatch.reports.evaluation import NoEvaluation, read_evaluation
from facewatch.reports.stats import Stats
from facewatch.reports.status import Counts, counts_of
from facewatch.web.jobs import make_stats
from facewatch.web.site import Site

pages = APIRouter()
api = APIRouter(tags=["statistics"])

COUNTS = "counts"
"""What they are kept by (see `Lately`)."""
FACES = FaceSources("/media/face/{}".format, "/face/{}".format)


def _counts(app: App) -> Counts:
    return counts_of(app.catalog)


@pages.get("/stats", response_class=HTMLResponse)
async def stats_as_page(site: Site, renew: bool = False) -> Response:
    """Show the numbers as they were worked out last: with many faces that takes some seconds."""
    job = site.jobs.stats
    if (job.result is None and not job.fault) or renew:
        config = await site.access.read(lambda app: app.config)
        job.start(make_stats, config, site.access.note_change)
    if renew:
        # A page is fetched again by its own address with every change; that shall not work them out each time.
        return RedirectResponse("/stats", 303)
    if not isinstance(job.result, Stats) or job.made_at is None:
        return HTMLResponse(render("web/waiting.html", fault=job.fault))
    counts = await site.lately.read(COUNTS, _counts)
    remark = remark_on(job.result, counts, is_renewing=job.is_running, fault=job.fault)
    made_at = local_time(job.made_at.isoformat())
    counted = site.lately.stamp(COUNTS)
    page = stats_page(job.result, FACES, made_at=made_at, remark=remark, frame="web/stats.html", counted=counted)
    return HTMLResponse(page)


@pages.get("/stats/evaluation", response_class=HTMLResponse)
async def evaluation_as_page(site: Site) -> str:
    found = await site.access.read(lambda app: read_evaluation(app.catalog.path))
    if isinstance(found, NoEvaluation):
        return render("web/evaluation.html", kept=None, gap=NO_EVALUATION[found])
    return render("web/evaluation.html", kept=found, facts=[f"made {local_time(found.made_at)}", *found.facts])


@pages.get("/report.css")
async def report_style() -> Response:
    """The style of pages that are files, too."""
    return Response(render("style.css"), media_type="text/css")


@api.get("/stats")
async def read_stats(site: Site) -> dict[str, Any]:
    """Return what `facewatch stats --json` prints."""
    return stats_row(await site.access.cached("stats", lambda app: app.stats()))


@api.get("/evaluation", response_class=Response, responses={200: {"content": {"application/json": {}}}})
async def read_evaluation_facts(site: Site) -> Response:
    """Return what the newest `facewatch evaluate --json` printed, and when that was."""
    found = await site.access.read(lambda app: read_evaluation(app.catalog.path))
    if isinstance(found, NoEvaluation):
        raise NotKnownError(NO_EVALUATION[found])
    # Escapes where a folder's name is no UTF-8.
    return Response(json.dumps({"made_at": found.made_at, **found.measured}), media_type="application/json")
