"""What pages are told while they are open: that the catalog has changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from facewatch.web.access import Access
from facewatch.web.site import Site

router = APIRouter(include_in_schema=False)

POLL_SECONDS = 0.5
"""How often it is asked whether somebody else has changed the catalog."""


async def watch_catalog(access: Access) -> None:
    """Notice what others change in the catalog, until this is cancelled."""
    known = await access.count_changes()
    while True:
        await asyncio.sleep(POLL_SECONDS)
        await access.let_go()
        count = await access.count_changes()
        if count != known:
            known = count
            access.note_change()


@router.get("/events")
async def events(site: Site) -> StreamingResponse:
    return StreamingResponse(_stream(site.access), media_type="text/event-stream")


async def _stream(access: Access) -> AsyncIterator[str]:
    changed, fault = access.subscribe(), ""
    try:
        yield f"event: hello\ndata: {access.version}\n\n"
        while not access.is_closing:
            if access.fault != fault:
                fault = access.fault
                yield f"event: fault\ndata: {json.dumps(fault)}\n\n"
            await changed.wait()
            changed.clear()
            yield f"event: changed\ndata: {access.version}\n\n"
    finally:
        access.unsubscribe(changed)
