"""Faces of the catalog, drawn in the terminal that a command was called from."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from facewatch.cli.pictures import Protocol, Screen, draw_on, screen_of
from facewatch.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from facewatch.app import App
    from facewatch.catalog import Person
    from facewatch.people.portraits import FaceCrops

NO_SCREEN = Screen(Protocol.NONE)


def screen_here() -> Screen:
    """Return what this terminal can show, without asking it: it may be typed in already."""
    return screen_of(os.environ, sys.stdin, sys.stdout, may_ask=False)


def crops_of(app: App) -> FaceCrops:
    """Return what cuts out faces: with the workers that have analysed photos just now, else with as many new ones as
    the settings allow.

    Raises:
        EngineError: there is not memory enough for it.
    """
    from facewatch.indexing.pool import WorkerPool
    from facewatch.settings import n_workers_of

    made = app.pipeline.workers.made
    # To start a process takes longer than to cut out the faces of twenty people.
    workers = made if isinstance(made, WorkerPool) else None
    return app.face_crops(workers, n_workers=n_workers_of(app.config))


def draw_people(app: App, screen: Screen, people: Sequence[Person]) -> str:
    """Return the faces of these people, to be sent to a terminal that can show them; "" when it cannot, or there are
    none to be had."""
    from facewatch.indexing.crops import picture_of
    from facewatch.people.portraits import portraits
    from facewatch.presentation.catalog import portrait_label

    if screen.protocol is Protocol.NONE or not people:
        return ""
    try:
        with crops_of(app) as crops:
            found = portraits(app.catalog, crops, people, n_faces=1)
            pictures = [picture_of(one.crops[0]) if one.crops else None for one in found]
    except EngineError:
        return ""
    return draw_on(screen, pictures, list(map(portrait_label, people))) if any(pictures) else ""


def face_pictures(app: App, faces: Sequence[int]) -> dict[int, Path]:
    """Return the crops of those of these faces that can be had, by id."""
    from facewatch.people.lookup import faces_at

    if not faces:
        return {}
    try:
        with crops_of(app) as crops:
            known = faces_at(app.catalog, faces)
            paths = crops.paths(known)
    except EngineError:
        return {}
    return {face.id: path for face, path in zip(known, paths, strict=True) if path is not None}


def draw_rows(app: App, screen: Screen, rows: Sequence[Sequence[tuple[int, str]]]) -> list[str]:
    """Return rows of faces (id and what stands under it), each to be sent to a terminal that can show them.

    "" for a row of which no face can be had, and for all where the terminal can show none. A face that cannot be had
    is a grey place.
    """
    from facewatch.indexing.crops import picture_of

    if screen.protocol is Protocol.NONE:
        return [""] * len(rows)
    crops = face_pictures(app, [face_id for row in rows for face_id, _ in row])
    return [_drawn(screen, row, [picture_of(crops.get(face_id)) for face_id, _ in row]) for row in rows]


def _drawn(screen: Screen, row: Sequence[tuple[int, str]], pictures: Sequence[Image.Image | None]) -> str:
    return draw_on(screen, pictures, [label for _, label in row]) if any(pictures) else ""
