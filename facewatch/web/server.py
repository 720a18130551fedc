"""The site from its parts, and the server that answers for it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles
from uvicorn.protocols.http.h11_impl import H11Protocol

from facewatch import __version__
from facewatch.errors import WebError
from facewatch.indexing.memory import give_back_large_blocks
from facewatch.web import (
    corrections,
    events,
    face_map,
    history,
    media,
    merge,
    people,
    person,
    photo,
    photos,
    pool,
    recluster,
    review,
    search,
    split,
    stats,
    status,
)
from facewatch.web.access import Access
from facewatch.web.apart import OpenApp
from facewatch.web.errors import add_error_answers
from facewatch.web.jobs import Jobs
from facewatch.web.lately import Lately
from facewatch.web.media import Media
from facewatch.web.peers import is_own
from facewatch.web.questions import QuestionQueue
from facewatch.web.security import IS_OWN, AccessRules, Guard, is_loopback
from facewatch.web.site import SiteParts

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.indexing.pool import PictureWorkers

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"

PAGES = (
    people,
    merge,
    person,
    split,
    photo,
    photos,
    pool,
    review,
    search,
    history,
    face_map,
    stats,
    status,
    recluster,
)
"""Modules with pages (`pages`)."""
API = (
    people,
    person,
    split,
    photo,
    photos,
    pool,
    search,
    corrections,
    review,
    history,
    face_map,
    stats,
    status,
    recluster,
)
"""Modules with a part of the JSON API (`api`)."""

TURN_SECONDS = 0.0005
"""How long a thread may keep Python to itself. Reading from SQLite gives it up with every row, and what matches the
pool again after a decision takes it for a whole turn each time: with Python's own 5 ms a decision among 100,000 faces
was answered in up to 370 ms (95th percentile, scripts/bench), with this in 70."""

SHUTDOWN_SECONDS = 2
"""How long requests that are under way may take when the server stops."""


def make_site(
    make: Callable[[], App],
    *,
    rules: AccessRules | None = None,
    is_kept_ready: bool = False,
    workers: Callable[[App], PictureWorkers] = media.page_workers,
    open_apart: OpenApp | None = None,
) -> FastAPI:
    """Return the site of a catalog; `make` opens an App on it, once in each thread that needs one.

    Args:
        rules: who may ask; None: this machine.
        is_kept_ready: the pictures of everybody are made before somebody looks.
        workers: makes those who make pictures.
        open_apart: opens an App in another process, by its settings; None: as the program does.
    """

    def parts() -> SiteParts:
        access = Access(make, open_apart)
        jobs = Jobs(access.say, opening=open_apart)
        lately = Lately(access)
        return SiteParts(access, Media(access, workers), QuestionQueue(access, lately), jobs, lately)

    site = FastAPI(
        title="facewatch",
        version=__version__,
        lifespan=lambda site: _alive(site, parts(), is_kept_ready=is_kept_ready),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    _add_routes(site)
    add_error_answers(site)
    site.add_middleware(events.Stamp)
    site.add_middleware(Guard, rules=rules or AccessRules())
    return site


@contextlib.asynccontextmanager
async def _alive(site: FastAPI, parts: SiteParts, *, is_kept_ready: bool) -> AsyncIterator[None]:
    """Open the catalog and do what goes on beside requests, until the site ends.

    Raises:
        FacewatchError: the catalog cannot be opened.
    """
    site.state.parts = parts
    access = parts.access
    tasks: list[asyncio.Task[None]] = []
    try:
        await access.start()
        tasks += map(asyncio.create_task, (events.watch_catalog(access), parts.media.let_go()))
        if is_kept_ready:
            tasks.append(asyncio.create_task(_keep_ready(parts)))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        parts.jobs.close()
        await asyncio.to_thread(parts.media.close)
        await asyncio.to_thread(access.close)


async def _keep_ready(parts: SiteParts) -> None:
    await parts.access.get_ready()
    await parts.media.keep_ready()


def _add_routes(site: FastAPI) -> None:
    for module in PAGES:
        site.include_router(module.pages, include_in_schema=False)
    versioned = APIRouter(prefix="/api/v1")
    for part in API:
        versioned.include_router(part.api)
    site.include_router(versioned)
    site.include_router(media.router)
    site.include_router(events.router)
    site.mount("/static", StaticFiles(directory=STATIC), name="static")


class _Connection(H11Protocol):
    """Says with each request whether the program that makes it is this user's: of a connection within this machine."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is not None and is_loopback(self.client[0]):
            self.app_state = self.app_state | {IS_OWN: is_own(self.client, transport.get_extra_info("sockname")[:2])}


class _Uvicorn(uvicorn.Server):
    """Lets pages that wait for events go before it waits for its connections to end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        parts: SiteParts | None = getattr(self.config.app.state, "parts", None)  # type: ignore[union-attr]
        if parts is not None:
            parts.access.stop_streams()
        await super().shutdown(sockets)


class Server:
    """Answers requests, in this thread or in one of its own."""

    def __init__(self, site: FastAPI, *, host: str, port: int) -> None:
        """Take the address; port 0 takes one that is free.

        Raises:
            WebError: somebody else has it, or it is none of this machine's.
        """
        self._socket = _listen(host, port)
        give_back_large_blocks()
        sys.setswitchinterval(TURN_SECONDS)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        self._thread: threading.Thread | None = None
        self._server = _Uvicorn(
            uvicorn.Config(
                site,
                http=_Connection,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
        )

    def run(self) -> None:
        """Answer until a signal or `stop` ends it."""
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Answer from a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self.run, name="facewatch-web")
        self._thread.start()

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()


def _listen(host: str, port: int) -> socket.socket:
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
        # Its connections inherit this. asyncio sets it only on sockets that name their protocol, which these do not;
        # without it each answer on a kept connection waits 40 ms for the browser's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise WebError(
                f"port {port} is in use, perhaps by another `facewatch web`; --port 0 takes one that is free"
            ) from error
        raise WebError(f"{host}:{port}: {error.strerror or error}; --host and --port say where to listen") from error
