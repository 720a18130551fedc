"""Faces as pictures: cut in worker processes, kept beside the catalog."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from facewatch.people.lookup import faces_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from facewatch.app import App
    from facewatch.people.portraits import FaceCrops

router = APIRouter(prefix="/media", include_in_schema=False)


class Media:
    """Makes pictures, one after another in a thread of its own."""

    def __init__(self, make: Callable[[], App]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="facewatch-media")
        self._app: App | None = None
        self._crops: FaceCrops | None = None

    async def face(self, face_id: int) -> bytes | None:
        """Return a JPEG of a face; None: there is none."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._face, face_id)

    def _face(self, face_id: int) -> bytes | None:
        if self._app is None:
            self._app = self._make()
        if self._crops is None:
            self._crops = self._app.face_crops()
        paths = self._crops.paths(faces_at(self._app.catalog, [face_id]))
        path: Path | None = next(iter(paths), None)
        return path.read_bytes() if path is not None else None

    def close(self) -> None:
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    def _close(self) -> None:
        if self._crops is not None:
            self._crops.__exit__(None, None, None)
        if self._app is not None:
            self._app.__exit__(None, None, None)


@router.get("/face/{face_id}")
async def face(request: Request, face_id: int) -> Response:
    media: Media = request.app.state.parts.media
    jpeg = await media.face(face_id)
    if jpeg is None:
        raise HTTPException(404, "no picture of this face can be made now")
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})
