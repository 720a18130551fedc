"""Faces and photos as pictures, by their ids: made by worker processes when first asked for, kept beside the catalog.

A browser asks each time whether its picture is still the right one (ETag), which costs a look into the catalog; with
the digest of that tag in the address (?v=) it need not ask again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from facewatch.errors import FacewatchError
from facewatch.indexing.picture_maker import (
    FACE_SIDE,
    LARGE_FACE_SIDE,
    LARGE_SIDE,
    THUMB_SIDE,
    FoundPicture,
    MadePictures,
    NoPicture,
    PictureMaker,
    PictureOrder,
    find_face,
    find_photo,
    order_faces,
)
from facewatch.presentation.html import render
from facewatch.presentation.media import why_no_picture
from facewatch.presentation.refusals import NO_PICTURE
from facewatch.web.parameters import Number
from facewatch.web.security import ASKED_AGAIN

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.catalog import Catalog
    from facewatch.indexing.pictures import PictureName, PictureStore
    from facewatch.indexing.pool import PictureWorkers
    from facewatch.web.access import Access

log = logging.getLogger(__name__)

router = APIRouter(prefix="/media", include_in_schema=False)

MOST_WORKERS = 4
"""Each takes some 100 MB while it decodes."""

ATTEMPTS = 3
"""To make a picture, when something is forgotten meanwhile."""

MOST_COVERS = 1000
"""People whose faces are made before anybody looks: those that the page of everybody shows first."""
COVERS_AT_ONCE = 20
"""How many of these are looked up together."""
SETTLED_SECONDS = 10.0
"""How long after a change in the catalog it is seen to it that new ones are made; and how often it is asked whether
the workers have nothing to do."""

UNCHANGING = "private, max-age=31536000, immutable"

Find = Callable[["Catalog", str], FoundPicture | None]
"""Finds a picture in the catalog; the text is a ticket of the store."""


@dataclass(frozen=True, slots=True)
class PictureAnswer:
    """What is answered where a picture is asked for."""

    name: PictureName
    jpeg: bytes | None = None
    """None: whoever asks has it, or there is none."""
    made: MadePictures | None = None
    """What was made for it; None: nothing had to be."""
    is_smaller: bool = False
    """Whether it is smaller than what was asked for, because the photo is away."""

    @property
    def is_away(self) -> bool:
        """Whether there is none because the photo is not where it was."""
        return self.jpeg is None and self.made is not None and self.made.reason is NoPicture.AWAY


@dataclass(frozen=True, slots=True)
class _PictureParts:
    store: PictureStore
    maker: PictureMaker
    idle_seconds: float


class Media:
    """Pictures for many requests at once."""

    def __init__(self, access: Access, workers: Callable[[App], PictureWorkers]) -> None:
        """`workers` makes those who make pictures; it is called when the first is wanted."""
        self._access = access
        self._make_workers = workers
        self._starting = asyncio.Lock()
        self._parts: _PictureParts | None = None

    async def picture(
        self, find: Find, tags: str, gone: Coroutine[None, None, None], *, smaller: Find | None = None
    ) -> PictureAnswer | None:
        """Return a picture, or why there is none; None: nobody knows what it is asked of, or nobody waits any more.

        Args:
            tags: those that whoever asks has, as in If-None-Match.
            gone: returns when nobody waits any more.
            smaller: finds what is shown instead where the photo is away, if it is kept.

        Raises:
            EngineError: there is not memory enough to make pictures.
        """
        waiting = asyncio.create_task(gone)
        try:
            answer = await self._picture(find, tags, waiting)
            if smaller is None or answer is None or not answer.is_away:
                return answer
            return await self._kept(smaller, tags) or answer
        finally:
            waiting.cancel()

    async def _picture(self, find: Find, tags: str, gone: asyncio.Task[None]) -> PictureAnswer | None:
        parts = await self._ready()
        answer: PictureAnswer | None = None
        for _ in range(ATTEMPTS):
            found, jpeg = await self._access.read(lambda app: _look(app, parts.store, find, tags))
            if found is None:
                return None
            if jpeg is not None or tag_of(found.name) in tags:
                return PictureAnswer(found.name, jpeg)
            made = await _made(parts.maker, found.order, gone)
            if made is None:
                return None
            answer = PictureAnswer(found.name, made.jpegs.get(found.name), made)
            if made.reason is not NoPicture.OUTDATED:
                break
        return answer

    async def _kept(self, find: Find, tags: str) -> PictureAnswer | None:
        """Return a smaller picture than was asked for; None: none is kept."""
        parts = await self._ready()
        found, jpeg = await self._access.read(lambda app: _look(app, parts.store, find, tags))
        if found is None or (jpeg is None and tag_of(found.name) not in tags):
            return None
        return PictureAnswer(found.name, jpeg, is_smaller=True)

    async def keep_ready(self) -> None:
        """Make the faces of those whom the page of everybody shows first, as soon as there are new ones; until this is
        cancelled."""
        changed = self._access.subscribe()
        try:
            while True:
                try:
                    await self._make_covers()
                except FacewatchError as error:  # whoever asks for a picture is told
                    log.debug("no faces are made ahead: %s", error)
                await changed.wait()
                await asyncio.sleep(SETTLED_SECONDS)
                changed.clear()
        finally:
            self._access.unsubscribe(changed)

    async def let_go(self, *, sleep: Callable[[float], Coroutine[None, None, None]] = asyncio.sleep) -> None:
        """End the workers whenever they have had nothing to do for a while, until this is cancelled."""
        n_idle = 0
        while True:
            await sleep(SETTLED_SECONDS)
            if self._parts is None:
                continue
            n_idle = n_idle + 1 if self._parts.maker.is_idle else 0
            if n_idle * SETTLED_SECONDS >= self._parts.idle_seconds:
                await asyncio.to_thread(self._parts.maker.rest)

    def close(self) -> None:
        """End the workers, and answer who waits."""
        if self._parts is not None:
            self._parts.maker.close()
            self._parts.store.close()

    async def _ready(self) -> _PictureParts:
        async with self._starting:
            if self._parts is None:
                self._parts = await self._access.read(self._make_parts)
        return self._parts

    def _make_parts(self, app: App) -> _PictureParts:
        store = app.picture_store()
        return _PictureParts(store, PictureMaker(store, self._make_workers(app)), app.watch_settings.idle_seconds)

    async def _make_covers(self) -> None:
        tiles = await self._access.everybody()
        covers = [tile.cover_id for tile in tiles if tile.cover_id is not None and not tile.is_hidden][:MOST_COVERS]
        parts = await self._ready()
        for start in range(0, len(covers), COVERS_AT_ONCE):
            some = covers[start : start + COVERS_AT_ONCE]
            await self._access.all_have_read()
            for order in await self._access.read(partial(_not_kept, store=parts.store, faces=some)):
                await asyncio.wrap_future(parts.maker.want(order, is_urgent=False))


def page_workers(app: App) -> PictureWorkers:
    """Return the worker processes of a page.

    Raises:
        EngineError: there is not memory enough for them.
    """
    return app.picture_workers(MOST_WORKERS)


def _look(app: App, store: PictureStore, find: Find, tags: str) -> tuple[FoundPicture | None, bytes | None]:
    """Return what is asked for, and its picture if it is kept and whoever asks has another."""
    found = find(app.catalog, store.ticket())
    if found is None or not found.is_in_library or tag_of(found.name) in tags:
        return found, None
    return found, store.read(found.name)


def _not_kept(app: App, *, store: PictureStore, faces: Sequence[int]) -> list[PictureOrder]:
    ticket, wanted = store.ticket(), set(faces)
    orders = [order_faces(photo, ticket) for photo in app.catalog.pictures.of_faces(faces) if photo.files]
    return [order for order in orders if None in [store.path_of(name) for name in order.names if name.id in wanted]]


async def _made(maker: PictureMaker, order: PictureOrder, gone: asyncio.Task[None]) -> MadePictures | None:
    """Return what was made; None: nobody waits for it any more."""
    making = asyncio.wrap_future(maker.want(order))
    both: set[asyncio.Future[Any]] = {making, gone}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return making.result() if making.done() else None
    finally:
        making.cancel()


def tag_of(name: PictureName) -> str:
    """Return the ETag of a picture."""
    return f'"{name.side}-{name.digest}"'


@router.get("/face/{face_id}")
async def face(request: Request, face_id: Number) -> Response:
    return await _answer(request, lambda catalog, ticket: find_face(catalog, face_id, ticket, side=FACE_SIDE))


@router.get("/face/{face_id}/large")
async def large_face(request: Request, face_id: Number) -> Response:
    large, small = (
        lambda catalog, ticket, side=side: find_face(catalog, face_id, ticket, side=side)
        for side in (LARGE_FACE_SIDE, FACE_SIDE)
    )
    return await _answer(request, large, smaller=small)


@router.get("/photo/{photo_id}/thumb")
async def thumb(request: Request, photo_id: Number) -> Response:
    return await _answer(request, lambda catalog, ticket: find_photo(catalog, photo_id, ticket, side=THUMB_SIDE))


@router.get("/photo/{photo_id}/large")
async def large_photo(request: Request, photo_id: Number) -> Response:
    large, small = (
        lambda catalog, ticket, side=side: find_photo(catalog, photo_id, ticket, side=side)
        for side in (LARGE_SIDE, THUMB_SIDE)
    )
    return await _answer(request, large, smaller=small)


async def _answer(request: Request, find: Find, *, smaller: Find | None = None) -> Response:
    media: Media = request.app.state.parts.media
    given = await media.picture(find, request.headers.get("If-None-Match", ""), _gone(request), smaller=smaller)
    if given is None:
        raise HTTPException(404, NO_PICTURE)
    if given.jpeg is None and given.made is not None:
        return _placeholder(given.made)
    is_for_ever = request.query_params.get("v") == given.name.digest and not given.is_smaller
    headers = {"ETag": tag_of(given.name), "Cache-Control": UNCHANGING if is_for_ever else ASKED_AGAIN}
    if given.jpeg is None:
        return Response(status_code=304, headers=headers)
    return Response(given.jpeg, media_type="image/jpeg", headers=headers)


async def _gone(request: Request) -> None:
    """Return when the browser does not wait for the answer any more."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _placeholder(missing: MadePictures) -> Response:
    """Return a picture that says why there is none; browsers show it whatever the status."""
    picture = render("web/no_picture.svg", why=why_no_picture(missing))
    may_come = missing.reason in (NoPicture.BUSY, NoPicture.OUTDATED)
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "5"} if may_come else {})
    return Response(picture, 503 if may_come else 404, media_type="image/svg+xml", headers=headers)
