"""The page of the status: what runs, what is wrong and what helps; scans are started here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from facewatch.app import App
from facewatch.errors import BusyError
from facewatch.presentation.html import render
from facewatch.presentation.reports import status_row
from facewatch.presentation.status import STARTED, STOPPING, busy_on_page, status_page
from facewatch.reports.status import Status, at_work
from facewatch.web.corrections import SaidRow
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(tags=["status"])


STATUS = "status"
"""What it is kept by (see `Lately`)."""


def _full_status(app: App) -> Status:
    return app.status_report().full()


async def _status(site: SiteParts) -> Status:
    counted = await site.lately.read(STATUS, _full_status)
    return await site.access.read(lambda app: app.status_report().renewed(counted))


@pages.get("/status", response_class=HTMLResponse)
async def status_as_page(site: Site) -> str:
    current = await _status(site)
    return render(
        "web/status.html",
        current="status",
        status=status_page(current, datetime.now(UTC), begun_at=site.jobs.scan_begun_at),
        is_scanning=site.jobs.is_scanning,
        scan_fault=site.jobs.scan_fault,
        fault=site.access.aftermath.fault,
        preview=site.jobs.preview,
        counted=site.lately.stamp(STATUS),
    )


@api.get("/status")
async def read_status(site: Site) -> dict[str, Any]:
    """Return what `facewatch status --json` prints."""
    return status_row(await _status(site))


@api.post("/scan")
async def start_scan(site: Site) -> SaidRow:
    """Scan the libraries, in a process of its own."""

    def check(app: App) -> App:
        runner, _ = at_work(app.catalog.path)
        if runner is not None:
            raise BusyError(busy_on_page(runner))
        return app

    config = (await site.access.read(check)).config
    await site.jobs.start_scan(config)
    return SaidRow(said=STARTED)


@api.post("/scan/stop")
async def stop_scan(site: Site) -> SaidRow:
    """End a scan that was started here."""
    site.jobs.stop_scan()
    return SaidRow(said=STOPPING)
