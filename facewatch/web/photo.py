"""The page of a photo, and photos and faces in the JSON API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field, model_validator

from facewatch import ids
from facewatch.app import App
from facewatch.catalog import display
from facewatch.errors import NotKnownError
from facewatch.people.person import ordered_faces
from facewatch.people.photos.browse import (
    FACE_LIST,
    BrowseOrder,
    FaceList,
    position_of_face,
    position_of_photo,
    read_face_list,
)
from facewatch.people.photos.whole import FaceOnPhoto, WholePhoto, face_on_photo, whole_photo
from facewatch.presentation.html import render
from facewatch.presentation.photo import ShownPosition, boxes_of, position_shown, title_of, why_lines
from facewatch.presentation.refusals import NO_FACE
from facewatch.types import Box
from facewatch.web.corrections import DecisionOutcome, decide, outcome_of
from facewatch.web.parameters import Name, Number
from facewatch.web.person import doubts_of
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(tags=["photos"])

Words = Annotated[str, Query(max_length=500)]
"""A search for photos, see `facewatch photos`; the page goes to the photo before and behind in it."""
Origin = Annotated[str, Query(alias="from", pattern=f"^(?:{FACE_LIST.pattern})$", max_length=60)]
"""The list of faces that is browsed; see `people.photos.browse`."""
Pixel = Annotated[int, Field(ge=-100_000, le=1_000_000)]


class BoxRow(BaseModel):
    """Where a face is, in pixels of the upright photo."""

    x: int
    y: int
    w: int
    h: int


class PhotoFaceRow(BoxRow):
    """A face of a photo."""

    id: int
    number: int
    """From left to right, from 1."""
    person_id: int | None
    label: str | None
    guess: str | None
    """Whom it may be, where it is nobody's."""
    mark: str | None
    """nobody, not_a_face or forgotten."""
    is_confirmed: bool
    is_drawn: bool
    tier: str


class FaceDetails(PhotoFaceRow):
    photo_id: int


class PresentRow(BaseModel):
    """Somebody who is in a photo without a face, as a user said."""

    person_id: int
    label: str


class PhotoDetails(BaseModel):
    id: int
    taken_at: str
    """YYYY-MM-DDTHH:MM:SS; "": nobody knows."""
    width: int
    height: int
    files: list[str]
    """All copies; none: it was deleted."""
    faces: list[PhotoFaceRow]
    present: list[PresentRow]


class Receiver(BaseModel):
    """A person by its id, or somebody new by name."""

    person: Number | None = None
    new_name: Name | None = None

    @property
    def who(self) -> str | None:
        return ids.person(self.person) if self.person is not None else self.new_name

    @property
    def is_new(self) -> bool:
        return self.person is None and self.new_name is not None

    @model_validator(mode="after")
    def is_at_most_one(self) -> Receiver:
        if self.person is not None and self.new_name is not None:
            raise ValueError("name either a person by its id, or new_name")
        return self


class MissedFace(Receiver):
    """A box round a face that was missed, in pixels of the upright photo, and whose it is, if that is known."""

    x: Pixel
    y: Pixel
    w: Pixel
    h: Pixel


class WhyLines(BaseModel):
    lines: list[str]


async def _photo(site: SiteParts, photo: int) -> WholePhoto:
    return await site.access.read(lambda app: whole_photo(app.catalog, photo))


async def _position(site: SiteParts, photo: int, face: int, words: str, origin: str) -> ShownPosition | None:
    """Return where a photo is among those that somebody goes through; None: it is none of them."""
    if words:
        order = await site.access.cached(("photos", words), lambda app: _found_in(app, words))
        position = position_of_photo(order, photo)
        return position_shown(position, "photo", {"q": words}) if position else None
    wanted = read_face_list(origin)
    if wanted is None:
        return None
    faces = await _faces_of(site, wanted)
    position = await site.access.read(lambda app: position_of_face(app.catalog, faces, face))
    return position_shown(position, "face", {"from": origin}) if position else None


def _found_in(app: App, words: str) -> BrowseOrder:
    return BrowseOrder(app.catalog.photo_search.ids(app.photos().understand(words)))


async def _faces_of(site: SiteParts, wanted: FaceList) -> BrowseOrder:
    """Return the faces of a list in its order."""
    person_id, key = wanted.person_id, ("faces", wanted)
    if person_id is None:
        return await site.access.cached(key, lambda app: BrowseOrder(app.catalog.pool.ids(wanted.kind)))
    doubts = await doubts_of(site, person_id, wanted.sort)
    return await site.access.cached(
        key, lambda app: BrowseOrder(ordered_faces(app.catalog, person_id, doubts, by=wanted.by))
    )


@pages.get("/photo/{photo}", response_class=HTMLResponse)
async def photo_page(site: Site, photo: Number, q: Words = "", origin: Origin = "", face: int = 0) -> str:
    whole = await _photo(site, photo)
    offline = await site.access.read(lambda app: app.photos().offline())
    return render(
        "web/photo.html",
        current="photos",
        photo=whole.found,
        boxes=boxes_of(whole),
        title=title_of(whole, offline),
        present=[one for one in whole.found.people if one.face_id is None],
        chosen=face,
        position=await _position(site, photo, face, q, origin),
    )


@pages.get("/face/{face}")
async def face_page(site: Site, face: Number) -> RedirectResponse:
    """Lead to the photo of a face."""
    rows = await site.access.read(lambda app: app.catalog.faces.rows([face]))
    if not rows:
        raise NotKnownError(NO_FACE)
    return RedirectResponse(f"/photo/{rows[0].photo_id}?face={face}", 307)


@api.get("/faces/{face}")
async def one_face(site: Site, face: Number) -> FaceDetails:
    """Return a face."""
    photo_id, one = await site.access.read(lambda app: face_on_photo(app.catalog, face))
    return FaceDetails(photo_id=photo_id, **_face_row(one).model_dump())


@api.get("/photos/{photo}")
async def one_photo(site: Site, photo: Number) -> PhotoDetails:
    """Return a photo with its faces."""
    whole = await _photo(site, photo)
    found = whole.found
    return PhotoDetails(
        id=found.id,
        taken_at=found.taken_at,
        width=found.width,
        height=found.height,
        files=[display(file.path) for file in found.files],
        faces=[_face_row(one) for one in whole.faces],
        present=[PresentRow(person_id=one.person_id, label=one.label) for one in found.people if one.face_id is None],
    )


def _face_row(one: FaceOnPhoto) -> PhotoFaceRow:
    return PhotoFaceRow(
        id=one.id,
        number=one.number,
        x=one.box.x,
        y=one.box.y,
        w=one.box.w,
        h=one.box.h,
        person_id=one.person_id,
        label=one.label,
        guess=one.guess,
        mark=one.mark,
        is_confirmed=one.is_by_user,
        is_drawn=one.is_drawn,
        tier=one.tier,
    )


@api.get("/faces/{face}/why")
async def why(site: Site, face: Number) -> WhyLines:
    """Say in two lines at most why a face is where it is."""
    explained = await site.access.consult(lambda app: app.explainer().explain(ids.face(face)))
    return WhyLines(lines=why_lines(explained.whys[0]) if explained.whys else [])


@api.post("/photos/{photo}/faces")
async def add_face(site: Site, photo: Number, missed: MissedFace) -> DecisionOutcome:
    """Add a face that was missed; it is embedded at once."""
    box = Box(missed.x, missed.y, missed.w, missed.h)

    def work(app: App) -> DecisionOutcome:
        return outcome_of(app, app.corrections.add_face(photo, box, missed.who, is_new=missed.is_new))

    return await site.access.decide(work, is_analysing=True)


@api.post("/photos/{photo}/present")
async def present(site: Site, photo: Number, somebody: Receiver) -> DecisionOutcome:
    """Say that somebody is in a photo without a face."""
    who = somebody.who or ""
    return await decide(site, lambda decisions: decisions.present(who, [photo], is_new=somebody.is_new))


@api.post("/photos/{photo}/absent/{person}")
async def absent(site: Site, photo: Number, person: Number) -> DecisionOutcome:
    """Take that back."""
    return await decide(site, lambda decisions: decisions.absent(ids.person(person), [photo]))
