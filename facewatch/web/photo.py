"""The page of a photo, and photos and faces in the JSON API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field, model_validator

from facewatch import ids
from facewatch.app import App
from facewatch.catalog import display
from facewatch.errors import NotKnownError
from facewatch.people.person import FaceOrder, ids_by_date, ids_by_doubt
from facewatch.people.photos.walk import WALK, FaceWalk, Order, read_walk, stage_of_face, stage_of_photo
from facewatch.people.photos.whole import FaceOnPhoto, WholePhoto, face_on_photo, whole_photo
from facewatch.presentation.corrections import said_on_page
from facewatch.presentation.html import render
from facewatch.presentation.photo import ShownStage, boxes_of, stage_shown, title_of, why_lines
from facewatch.types import Box
from facewatch.web.corrections import Name, Number, Outcome, decide
from facewatch.web.person import doubts_of
from facewatch.web.site import Parts, Site

pages = APIRouter()
api = APIRouter(tags=["photos"])

PhotoId = Annotated[int, Path(ge=1, lt=2**63)]
FaceId = Annotated[int, Path(ge=1, lt=2**63)]
Words = Annotated[str, Query(max_length=500)]
"""A search for photos, see `facewatch photos`; the page goes to the photo before and behind in it."""
Origin = Annotated[str, Query(alias="from", pattern=f"^(?:{WALK.pattern})$", max_length=60)]
"""The faces that are gone through, one after another; see `people.photos.walk`."""
Pixel = Annotated[int, Field(ge=-100_000, le=1_000_000)]


class FaceRow(BaseModel):
    """A face of a photo; its box in pixels of the upright photo."""

    id: int
    number: int
    """From left to right, from 1."""
    x: int
    y: int
    w: int
    h: int
    person_id: int | None
    label: str | None
    guess: str | None
    """Whom it may be, where it is nobody's."""
    mark: str | None
    """nobody, not_a_face or forgotten."""
    is_confirmed: bool
    is_drawn: bool
    tier: str


class FaceDetails(FaceRow):
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
    faces: list[FaceRow]
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


class DrawnBox(Receiver):
    """A box round a face that was missed, in pixels of the upright photo, and whose it is, if that is known."""

    x: Pixel
    y: Pixel
    w: Pixel
    h: Pixel


class WhyLines(BaseModel):
    lines: list[str]


async def _photo(site: Parts, photo: int) -> WholePhoto:
    return await site.access.read(lambda app: whole_photo(app.catalog, photo))


async def _stage(site: Parts, photo: int, face: int, words: str, origin: str) -> ShownStage | None:
    """Return where a photo is among those that somebody goes through; None: it is none of them."""
    if words:
        order = await site.access.cached(("photos", words), lambda app: _found_in(app, words))
        stage = stage_of_photo(order, photo)
        return stage_shown(stage, "photo", {"q": words}) if stage else None
    walk = read_walk(origin)
    if walk is None:
        return None
    faces = await _faces_of(site, walk)
    met = await site.access.read(lambda app: stage_of_face(app.catalog, faces, face))
    return stage_shown(met, "face", {"from": origin}) if met else None


def _found_in(app: App, words: str) -> Order:
    return Order(app.catalog.photo_search.ids(app.photos().understand(words)))


async def _faces_of(site: Parts, walk: FaceWalk) -> Order:
    """Return the faces that are gone through, in their order."""
    person_id, key = walk.person_id, ("walk", walk)
    if person_id is None:
        return await site.access.cached(key, lambda app: Order(app.catalog.pool.ids(walk.kind)))
    if walk.sort is FaceOrder.DOUBT:
        doubts = await doubts_of(site, person_id)
        return await site.access.cached(
            key, lambda app: Order(ids_by_doubt(app.catalog, person_id, doubts, by=walk.by))
        )
    return await site.access.cached(key, lambda app: Order(ids_by_date(app.catalog, person_id, by=walk.by)))


@pages.get("/photo/{photo}", response_class=HTMLResponse)
async def photo_page(site: Site, photo: PhotoId, q: Words = "", origin: Origin = "", face: int = 0) -> str:
    whole = await _photo(site, photo)
    return render(
        "web/photo.html",
        current="photos",
        photo=whole.found,
        boxes=boxes_of(whole),
        title=title_of(whole),
        present=[one for one in whole.found.people if one.face_id is None],
        chosen=face,
        stage=await _stage(site, photo, face, q, origin),
    )


@pages.get("/face/{face}")
async def face_page(site: Site, face: FaceId) -> RedirectResponse:
    """Lead to the photo of a face."""
    rows = await site.access.read(lambda app: app.catalog.faces.rows([face]))
    if not rows:
        raise NotKnownError("there is no such face any more")
    return RedirectResponse(f"/photo/{rows[0].photo_id}?face={face}", 307)


@api.get("/faces/{face}")
async def one_face(site: Site, face: FaceId) -> FaceDetails:
    """Return a face."""

    def work(app: App) -> tuple[int, FaceOnPhoto]:
        return face_on_photo(app.catalog, face)

    photo_id, one = await site.access.read(work)
    return FaceDetails(photo_id=photo_id, **_face_row(one).model_dump())


@api.get("/photos/{photo}")
async def one_photo(site: Site, photo: PhotoId) -> PhotoDetails:
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


def _face_row(one: FaceOnPhoto) -> FaceRow:
    return FaceRow(
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
async def why(site: Site, face: FaceId) -> WhyLines:
    """Say in two lines at most why a face is where it is."""
    explained = await site.access.consult(lambda app: app.explainer().explain(ids.face(face)))
    return WhyLines(lines=why_lines(explained.whys[0]) if explained.whys else [])


@api.post("/photos/{photo}/faces")
async def add_face(site: Site, photo: PhotoId, drawn: DrawnBox) -> Outcome:
    """Add a face that was missed; it is embedded at once."""
    box = Box(drawn.x, drawn.y, drawn.w, drawn.h)

    def work(app: App) -> Outcome:
        decided = app.corrections.add_face(photo, box, drawn.who, is_new=drawn.is_new)
        return Outcome(said=said_on_page(app.catalog, decided), entry_id=decided.entry_id, people=list(decided.people))

    return await site.access.decide(work, is_analysing=True)


@api.post("/photos/{photo}/present")
async def present(site: Site, photo: PhotoId, somebody: Receiver) -> Outcome:
    """Say that somebody is in a photo without a face."""
    who = somebody.who or ""
    return await decide(site, lambda decisions: decisions.present(who, [photo], is_new=somebody.is_new))


@api.post("/photos/{photo}/absent/{person}")
async def absent(site: Site, photo: PhotoId, person: Annotated[int, Path(ge=1, lt=2**63)]) -> Outcome:
    """Take that back."""
    return await decide(site, lambda decisions: decisions.absent(ids.person(person), [photo]))
