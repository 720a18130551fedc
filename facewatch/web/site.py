"""What each request is handed of the site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from facewatch.web.access import Access
from facewatch.web.jobs import Jobs
from facewatch.web.lately import Lately
from facewatch.web.media import Media
from facewatch.web.questions import QuestionQueue


@dataclass(frozen=True, slots=True)
class SiteParts:
    """The parts of a site."""

    access: Access
    media: Media
    questions: QuestionQueue
    jobs: Jobs
    lately: Lately


def _parts(request: Request) -> SiteParts:
    parts: SiteParts = request.app.state.parts
    return parts


Site = Annotated[SiteParts, Depends(_parts)]
"""A parameter of a handler that gets the parts of the site."""
