"""Corrections in the JSON API: each is one decision, in the journal; its answer says what it did and what undoes it."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from pydantic import BaseModel, model_validator

from facewatch import ids
from facewatch.app import App
from facewatch.people.corrections import Decisions
from facewatch.people.record import Decided, Renamed
from facewatch.presentation.corrections import said_on_page, undone_on_page
from facewatch.web.parameters import Name, Number, Numbers
from facewatch.web.site import Site, SiteParts

api = APIRouter(tags=["corrections"])


class DecisionOutcome(BaseModel):
    """What a correction did."""

    said: str
    """One sentence or several."""
    entry_id: int | None
    """The decision that /journal/{entry_id}/undo takes back; null: all of it was so already, or it was an undo."""
    people: list[int]
    """Whom it was about; the first is the one that stays."""
    is_redoable: bool = False
    """Whether it was an undo, which /journal/redo takes back."""


class SaidRow(BaseModel):
    """What came of something that is no decision, in a sentence."""

    said: str


class NewName(BaseModel):
    name: Name
    may_merge: bool = False
    """If somebody else has this name: they are one person."""


class Others(BaseModel):
    people: Numbers


class Cover(BaseModel):
    face: Number


class Born(BaseModel):
    born: str | None = None
    """YYYY, YYYY-MM or YYYY-MM-DD; null: nobody knows."""


class FacesTo(BaseModel):
    """Faces, and whose they are: a person by its id, or somebody new by name."""

    faces: Numbers
    person: Number | None = None
    new_name: Name | None = None

    @model_validator(mode="after")
    def is_one(self) -> FacesTo:
        if (self.person is None) == (self.new_name is None):
            raise ValueError("name either a person by its id, or new_name")
        return self


class FacesNot(BaseModel):
    """Faces, and who they are not; null: not whom they belong to."""

    faces: Numbers
    person: Number | None = None


class FacesOf(BaseModel):
    faces: Numbers


async def decide(site: SiteParts, decision: Callable[[Decisions], Decided | Renamed]) -> DecisionOutcome:
    """Make a decision and say what it did.

    Raises:
        FacewatchError: it cannot be made; `errors` makes an answer of that.
    """

    def work(app: App) -> DecisionOutcome:
        with app.corrections.deciding() as decisions:
            made = decision(decisions)
        return outcome_of(app, made)

    return await site.access.decide(work)


def outcome_of(app: App, made: Decided | Renamed) -> DecisionOutcome:
    """Return the answer to a decision."""
    decided = made.decided if isinstance(made, Renamed) else made
    return DecisionOutcome(said=said_on_page(app.catalog, made), entry_id=decided.entry_id, people=list(decided.people))


@api.post("/people/{person}/name")
async def rename(site: Site, person: Number, new: NewName) -> DecisionOutcome:
    """Name a person."""
    return await decide(site, lambda decisions: decisions.rename(ids.person(person), new.name, may_merge=new.may_merge))


@api.post("/people/{person}/merge")
async def merge(site: Site, person: Number, others: Others) -> DecisionOutcome:
    """Make others part of this person."""
    return await decide(
        site, lambda decisions: decisions.merge(ids.person(person), [ids.person(one) for one in others.people])
    )


@api.post("/people/{person}/apart/{other}")
async def cannot_link(site: Site, person: Number, other: Number) -> DecisionOutcome:
    """Say that two are different people: no run makes them one."""
    return await decide(site, lambda decisions: decisions.cannot_link(ids.person(person), ids.person(other)))


@api.post("/people/{person}/hide")
async def hide(site: Site, person: Number) -> DecisionOutcome:
    """Take a person out of lists and folders; faces are matched to it all the same."""
    return await decide(site, lambda decisions: decisions.hide(ids.person(person)))


@api.post("/people/{person}/show")
async def show(site: Site, person: Number) -> DecisionOutcome:
    """Take back that a person is hidden."""
    return await decide(site, lambda decisions: decisions.show(ids.person(person)))


@api.post("/people/hide")
async def hide_several(site: Site, wanted: Others) -> DecisionOutcome:
    """Take several people out of lists and folders, as one decision."""
    first, *others = map(ids.person, wanted.people)
    return await decide(site, lambda decisions: decisions.hide(first, others))


@api.post("/people/show")
async def show_several(site: Site, wanted: Others) -> DecisionOutcome:
    """Take back that several people are hidden, as one decision."""
    first, *others = map(ids.person, wanted.people)
    return await decide(site, lambda decisions: decisions.show(first, others))


@api.post("/people/{person}/cover")
async def cover(site: Site, person: Number, chosen: Cover) -> DecisionOutcome:
    """Let a face stand for the person."""
    return await decide(site, lambda decisions: decisions.cover(ids.person(person), ids.face(chosen.face)))


@api.post("/people/{person}/born")
async def born(site: Site, person: Number, date: Born) -> DecisionOutcome:
    """Say when a person was born: no older photo is matched."""
    return await decide(site, lambda decisions: decisions.born(ids.person(person), date.born))


@api.post("/people/{person}/confirm")
async def confirm_person(site: Site, person: Number) -> DecisionOutcome:
    """Say that all faces of a person are right."""
    return await decide(site, lambda decisions: decisions.confirm_person(ids.person(person)))


@api.post("/people/{person}/forget")
async def forget(site: Site, person: Number) -> DecisionOutcome:
    """Take a person away: its faces are nobody's, and are never compared with any other again. Photos stay."""
    return await decide(site, lambda decisions: decisions.forget(ids.person(person)))


@api.post("/faces/assign")
async def assign(site: Site, wanted: FacesTo) -> DecisionOutcome:
    """Say whose faces are."""
    who = ids.person(wanted.person) if wanted.person is not None else wanted.new_name or ""
    faces = [ids.face(face) for face in wanted.faces]
    return await decide(site, lambda decisions: decisions.assign(faces, who, is_new=wanted.person is None))


@api.post("/faces/reject")
async def reject(site: Site, wanted: FacesNot) -> DecisionOutcome:
    """Say who faces are not."""
    who = ids.person(wanted.person) if wanted.person is not None else None
    return await decide(site, lambda decisions: decisions.reject([ids.face(face) for face in wanted.faces], who))


@api.post("/faces/unassign")
async def unassign(site: Site, wanted: FacesOf) -> DecisionOutcome:
    """Take faces out of whom they belong to; they stay with nobody until somebody says whose they are."""
    return await decide(site, lambda decisions: decisions.unassign([ids.face(face) for face in wanted.faces]))


@api.post("/faces/ignore")
async def ignore(site: Site, wanted: FacesOf) -> DecisionOutcome:
    """Say that these are no faces."""
    return await decide(site, lambda decisions: decisions.ignore([ids.face(face) for face in wanted.faces]))


@api.post("/faces/confirm")
async def confirm(site: Site, wanted: FacesOf) -> DecisionOutcome:
    """Say that faces belong to whom they were given."""
    return await decide(site, lambda decisions: decisions.confirm([ids.face(face) for face in wanted.faces]))


@api.post("/journal/{entry}/undo")
async def undo(site: Site, entry: Number, with_chain: bool = False) -> DecisionOutcome:
    """Take back one decision; with_chain: and those that build on it."""

    def work(app: App) -> DecisionOutcome:
        undone = app.corrections.undo_one(entry, with_chain=with_chain)
        return DecisionOutcome(said=undone_on_page(undone), entry_id=None, people=list(undone.people), is_redoable=True)

    return await site.access.decide(work)


@api.post("/journal/redo")
async def redo(site: Site) -> DecisionOutcome:
    """Make again what was taken back last."""

    def work(app: App) -> DecisionOutcome:
        undone = app.corrections.redo()
        # What takes it back is to undo again what was made again; of several that is the first: the others build on it.
        again = undone.entries[0].id
        return DecisionOutcome(said=undone_on_page(undone, is_redone=True), entry_id=again, people=list(undone.people))

    return await site.access.decide(work)
