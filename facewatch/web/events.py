"""What pages are told while they are open: that the catalog has changed, what runs and how far it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.datastructures import MutableHeaders

from facewatch.presentation.status import TOO_MANY_STREAMS, heartbeat_row
from facewatch.reports.status import at_work
from facewatch.web.access import Access
from facewatch.web.site import Site, SiteParts

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

router = APIRouter(include_in_schema=False)

POLL_SECONDS = 0.5
"""How often it is asked whether somebody else has changed the catalog, and what runs: once for all browsers."""

STILL_SECONDS = 15.0
"""How often something is sent that says nothing, so that proxies keep the stream and whoever has gone is noticed."""

MOST_STREAMS = 64
"""Streams at a time: a browser has one, whatever tabs it has open."""

RETRY_SECONDS = 5
"""When a browser asks again that found no room, or whose stream was cut off."""


async def watch_catalog(access: Access) -> None:
    """Notice what others change in the catalog, and what a scan or watcher says, until this is cancelled."""
    known = await access.count_changes()
    catalog = await access.read(lambda app: app.catalog.path)
    while True:
        await asyncio.sleep(POLL_SECONDS)
        await access.let_go()
        count = await access.count_changes()
        if count != known:
            known = count
            access.note_change()
        if access.n_listening:
            access.say("heartbeat", await asyncio.to_thread(_heartbeat, catalog))


def _heartbeat(catalog: Path) -> str:
    return json.dumps(heartbeat_row(*at_work(catalog)))


@router.get("/events")
async def events(site: Site) -> Response:
    if site.access.n_listening >= MOST_STREAMS:
        return JSONResponse({"error": TOO_MANY_STREAMS}, 503, headers={"Retry-After": str(RETRY_SECONDS)})
    # A proxy that collects what it passes on would pass it on much later.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(site.access), media_type="text/event-stream", headers=headers)


async def _stream(access: Access) -> AsyncIterator[str]:
    """Yield how everything is, then what changes."""
    woken, sent = access.subscribe(), dict[str, str]()
    try:
        yield f"retry: {1000 * RETRY_SECONDS}\n\n"
        while not access.is_closing:
            for name, data in _news(access):
                if sent.get(name) != data:
                    sent[name] = data
                    yield f"event: {name}\ndata: {data}\n\n"
            try:
                async with asyncio.timeout(STILL_SECONDS):
                    await woken.wait()
            except TimeoutError:
                yield ": still here\n\n"
            woken.clear()
    finally:
        access.unsubscribe(woken)


def _news(access: Access) -> Iterator[tuple[str, str]]:
    """Yield each kind of event with what it says now, as JSON."""
    yield "changed", json.dumps(access.stamp)
    yield "fault", json.dumps(access.aftermath.fault)
    yield from access.news.items()


class Stamp:
    """Says with every page of which state of the catalog it is, so that a page that is up to date already is not
    fetched again: as Server-Timing, the one header that the scripts of a page can read of the page itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts: SiteParts | None = getattr(scope["app"].state, "parts", None) if scope["type"] == "http" else None
        if parts is None:
            await self._app(scope, receive, send)
            return
        # Before anything is read: what changes meanwhile may be missing.
        stamp = parts.access.stamp

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers["Server-Timing"] = f'catalog;desc="{stamp}"'
            await send(message)

        await self._app(scope, receive, stamped)
