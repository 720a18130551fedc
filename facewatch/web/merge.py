"""People who may be one, side by side; what is chosen here is a call of `corrections`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from facewatch.people.merging import preview_merge
from facewatch.presentation.html import render
from facewatch.presentation.people import merge_notes, merge_question
from facewatch.presentation.person import similar_text
from facewatch.web.parameters import Number
from facewatch.web.person import similar_to
from facewatch.web.site import Site

pages = APIRouter()

MOST = 50
"""People who are shown side by side."""


@pages.get("/merge", response_class=HTMLResponse)
async def merge(site: Site, people: Annotated[list[Number], Query(min_length=1, max_length=MOST)]) -> str:
    """Several people, of whom one keeps its name; or one, with those who look most alike."""
    preview = await site.access.read(lambda app: preview_merge(app.catalog, people))
    first = preview.people[0]
    similar = await similar_to(site, first.id) if len(preview.people) == 1 else []
    return render(
        "web/merge.html",
        current="people",
        preview=preview,
        question=merge_question(preview),
        notes=merge_notes(preview),
        n_named=sum(one.name is not None for one in preview.people),
        similar=[(one, similar_text(one, first.label)) for one in similar],
    )
