"""Errors of facewatch as answers: a sentence, with the status that fits it, as JSON or as a page."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from facewatch.errors import (
    BusyError,
    DecisionError,
    EngineError,
    FacewatchError,
    NotKnownError,
    PhotoError,
    QueryError,
)
from facewatch.people.assigning import NameTakenError
from facewatch.people.lookup import UnusableNameError
from facewatch.people.search import UnusablePhotoError
from facewatch.presentation.refusals import FAILED, NOT_UNDERSTOOD
from facewatch.web.security import HEADERS, refused

log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[FacewatchError], int], ...] = (
    (UnusablePhotoError, 422),
    (UnusableNameError, 422),
    (NotKnownError, 404),
    (DecisionError, 409),
    (PhotoError, 422),
    (QueryError, 422),
    (BusyError, 503),
    (EngineError, 503),
)
"""Of an error of these types; 500 of any other."""


def status_of(error: FacewatchError) -> int:
    """Return the HTTP status that says what kind of error this is."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def add_error_answers(site: FastAPI) -> None:
    """Let errors be answered with their sentence, never with a traceback."""

    @site.exception_handler(FacewatchError)
    async def facewatch_error(request: Request, error: FacewatchError) -> Response:
        return answer(request, status_of(error), error.on_page)

    @site.exception_handler(NameTakenError)
    async def name_taken(request: Request, error: NameTakenError) -> Response:
        return JSONResponse({"error": error.on_page, "taken_by": error.other.id}, 409)

    @site.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, str(error.detail))

    @site.exception_handler(RequestValidationError)
    async def bad_input(request: Request, error: RequestValidationError) -> Response:
        faults = "; ".join(
            ": ".join((*filter(None, [".".join(map(str, one["loc"][1:]))]), one["msg"])) for one in error.errors()
        )
        return answer(request, 422, faults or NOT_UNDERSTOOD)

    @site.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answer(request, 500, FAILED)


def answer(request: Request, status: int, sentence: str) -> Response:
    """Return a sentence as what was asked for: JSON, or a page."""
    response = refused(request.scope, status, sentence)
    # What nobody foresaw is answered outside of the guard.
    response.headers.update(HEADERS)
    return response
