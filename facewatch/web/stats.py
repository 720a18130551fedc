"""The page of the catalog in numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from facewatch.presentation.html import render
from facewatch.presentation.html.stats import stats_page
from facewatch.presentation.reports import stats_row
from facewatch.web.site import Site

pages = APIRouter()
api = APIRouter(tags=["statistics"])


@pages.get("/stats", response_class=HTMLResponse)
async def stats_as_page(site: Site) -> str:
    stats = await site.access.cached("stats", lambda app: app.stats())
    return stats_page(stats, made_at=f"{datetime.now().astimezone():%Y-%m-%d %H:%M}", frame="web/report.html")


@pages.get("/report.css")
async def report_style() -> Response:
    """The style of pages that are files, too."""
    return Response(render("style.css"), media_type="text/css")


@api.get("/stats")
async def read_stats(site: Site) -> dict[str, Any]:
    """Return what `facewatch stats --json` prints."""
    return stats_row(await site.access.cached("stats", lambda app: app.stats()))
