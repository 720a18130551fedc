"""The journal: what was decided, the newest first, and what undoes it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from facewatch.app import App
from facewatch.errors import NotKnownError
from facewatch.people.history import DecisionDetails, HistoryPage, JournalStep, decision_details, history_page
from facewatch.presentation.corrections import describe_on_page
from facewatch.presentation.history import by_day, no_decision, step_line, undo_question
from facewatch.presentation.html import render
from facewatch.web.parameters import Before, Number
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(tags=["journal"])

PAGE = 50
"""Entries on one page."""


class JournalEntry(BaseModel):
    """What was done."""

    id: int
    at: str
    """UTC, ISO 8601."""
    actor: str
    """user, or the kind of run."""
    action: str
    text: str
    people: list[int]
    faces: list[int]
    """Some of the faces that show what it was about."""
    is_undoable: bool
    undone_by: int | None


class JournalPart(BaseModel):
    """Part of the journal, the newest first."""

    entries: list[JournalEntry]
    next_before: int | None
    """What `before` is for the next part; null: there is none."""


class JournalChain(BaseModel):
    """An entry and what is undone with it."""

    entry: JournalEntry
    chain: list[JournalEntry]
    """Later decisions that build on it, the newest first."""
    said: str


@pages.get("/history", response_class=HTMLResponse)
async def history(site: Site, who: str = "", before: Before = None, runs: bool = False) -> HTMLResponse:
    def work(app: App) -> tuple[HistoryPage | None, str, str]:
        try:
            person = app.lookup.person(who) if who.strip() else None
        except NotKnownError as error:
            return None, "", error.on_page
        found = history_page(app.catalog, PAGE, before=before, person_id=person.id if person else None, with_runs=runs)
        return found, person.label if person else "", ""

    found, label, fault = await site.access.read(work)
    page = render(
        "web/history.html",
        current="history",
        who=who,
        label=label,
        fault=fault,
        before=before,
        with_runs=runs,
        days=by_day(found.steps) if found else [],
        next_before=found.next_before if found else None,
        redoable=[describe_on_page(entry) for entry in found.redoable] if found else [],
    )
    return HTMLResponse(page, 404 if fault else 200)


@pages.get("/history/{entry}", response_class=HTMLResponse)
async def decision(site: Site, entry: Number) -> str:
    details = await _details(site, entry)
    return render(
        "web/decision.html",
        current="history",
        step=step_line(details.step),
        chain=[step_line(step) for step in details.chain],
        question=undo_question(details),
    )


async def _details(site: SiteParts, entry: int) -> DecisionDetails:
    details = await site.access.read(lambda app: decision_details(app.catalog, entry))
    if details is None:
        raise NotKnownError(no_decision(entry))
    return details


@api.get("/journal")
async def list_journal(
    site: Site,
    before: Before = None,
    person: Number | None = None,
    runs: bool = False,
    limit: Annotated[int, Query(ge=1, le=500)] = PAGE,
) -> JournalPart:
    """List what was decided, the newest first: by everybody, or about one person; runs: also what runs grouped."""
    found = await site.access.read(
        lambda app: history_page(app.catalog, limit, before=before, person_id=person, with_runs=runs)
    )
    return JournalPart(entries=[_row(step) for step in found.steps], next_before=found.next_before)


@api.get("/journal/{entry}")
async def show_entry(site: Site, entry: Number) -> JournalChain:
    """Say what an entry is about, and which later decisions are undone with it."""
    details = await _details(site, entry)
    return JournalChain(
        entry=_row(details.step), chain=[_row(step) for step in details.chain], said=undo_question(details)
    )


def _row(step: JournalStep) -> JournalEntry:
    entry = step.entry
    return JournalEntry(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        text=describe_on_page(entry, step.taken_up),
        people=list(step.people),
        faces=list(step.faces),
        is_undoable=step.is_undoable,
        undone_by=entry.undone_by,
    )
