"""Who people are in another catalog, and what comes of it here.

What users decided here stands: what contradicts it is told and left out. A face that another catalog has of a photo
that this one knows, too, is the face here that lies over it. One of a photo that is not here shows who its person is,
as that of a reference picture does; should the photo come, its face is found under it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from facewatch.boxes import pair_up
from facewatch.catalog import RUNS, USER, Catalog, FaceRow
from facewatch.catalog.carried import Carried, CarriedFace, CarriedPerson, CarriedPlace
from facewatch.errors import EngineError
from facewatch.people.lookup import name_key
from facewatch.types import Box, Tier

if TYPE_CHECKING:
    from facewatch.matching import Gallery


class Against(StrEnum):
    """Why something is not taken over."""

    ASSIGNED = "assigned"
    """The user gave the face to somebody else here."""
    REJECTED = "rejected"
    """The user said here that the face is not that person."""
    TAKEN_OUT = "taken_out"
    """The user said here that the face is nobody, or none."""
    IN_PHOTO = "in_photo"
    """The user gave that person another face of the photo here."""
    IS_PERSON = "is_person"
    """There it is not that person; here the user said that it is."""
    BORN = "born"
    """The date of birth is another one here."""
    UNLIKE = "unlike"
    """Whoever has that name here looks like somebody else."""


@dataclass(frozen=True, slots=True)
class CarriedConflict:
    """Something that is not taken over."""

    name: str
    """Whose."""
    against: Against
    face_id: int | None = None
    """The face here that it is about."""
    detail: str = ""
    """Whose that face is here; the date of birth here."""


@dataclass(slots=True)
class PersonPlan:
    """What is to be taken over about one person."""

    carried: CarriedPerson
    person_id: int | None
    """None: nobody has the name here."""
    faces: list[int] = field(default_factory=list)
    """Faces here that become theirs."""
    references: list[CarriedFace] = field(default_factory=list)
    """Faces of photos that are not here."""
    rejected: list[int] = field(default_factory=list)
    photos: list[int] = field(default_factory=list)
    """Photos here that the person is in without a face."""
    born: str | None = None
    """None: nothing is to be changed."""
    n_known: int = 0
    """Faces that are theirs here already."""
    conflicts: list[CarriedConflict] = field(default_factory=list)

    @property
    def changes_anything(self) -> bool:
        return bool(self.faces or self.references or self.rejected or self.photos or self.born)


def check_engine(carried: Carried, catalog: Catalog, source: str) -> None:
    """Refuse embeddings of another engine than the one in use.

    Raises:
        EngineError: it says what to do.
    """
    ours = catalog.engines.in_use()
    if ours is None or carried.fingerprint == ours.fingerprint:
        return
    if carried.engine == ours.name:
        raise EngineError(
            f"{source}: its faces were seen by other model files of {ours.name} than those here; have the same version "
            "of facewatch and of the models on both machines, scan there, then write it again"
        )
    raise EngineError(
        f"{source}: its faces were seen by {carried.engine}, and here by {ours.name}, which cannot be compared: "
        f"facewatch scan --engine {carried.engine} here, or --engine {ours.name} there, and write it again"
    )


class CarryPlanner:
    """Compares what is carried with what is here; writes nothing."""

    def __init__(self, catalog: Catalog, gallery: Gallery, *, may_differ: bool) -> None:
        """`may_differ`: people of the same name are one, however they look."""
        self._catalog = catalog
        self._gallery = gallery
        self._may_differ = may_differ
        self._claimed: dict[int, str] = {}
        """Whose each face here is there; nothing can be two people's."""
        self._ids = {name_key(name): person_id for person_id, name in catalog.people.names().items()}

    def plan(self, carried: Carried) -> list[PersonPlan]:
        return [self._plan(person) for person in carried.people]

    def _plan(self, person: CarriedPerson) -> PersonPlan:
        plan = PersonPlan(person, self._ids.get(name_key(person.name)))
        for face in person.faces:
            self._add_face(plan, face)
        if self._is_unlike(plan):
            unlike = CarriedConflict(person.name, Against.UNLIKE)
            return PersonPlan(person, plan.person_id, conflicts=[unlike])
        for place in person.rejected:
            self._add_rejection(plan, place)
        self._add_photos(plan)
        self._add_birth(plan)
        return plan

    def _is_unlike(self, plan: PersonPlan) -> bool:
        """Whether somebody else has that name here: no face is anything like theirs, nor theirs already."""
        known = self._gallery.only([] if plan.person_id is None else [plan.person_id])
        seen = [one.face for one in plan.carried.faces if one.face.quality.tier is Tier.ENROLL]
        if self._may_differ or plan.n_known or not len(known) or not seen:
            return False
        nearest = (next(iter(known.rank(face.embedding, 1)), None) for face in seen)
        return not any(first is not None and first.is_within for first in nearest)

    # --- faces ---

    def _add_face(self, plan: PersonPlan, carried: CarriedFace) -> None:
        photo_id = self._catalog.photos.with_hash(carried.photo.sha256)
        row = self._face_here(photo_id, carried.face.box)
        if row is None:
            # Of a photo that is here the engine has found what it finds; what is carried is of others.
            if photo_id is None or not self._catalog.files.sources([photo_id]):
                plan.references.append(carried)
            return
        if row.person_id == plan.person_id and row.person_id is not None and row.source not in RUNS:
            plan.n_known += 1
        elif carried.is_said and self._claimed.setdefault(row.id, plan.carried.name) == plan.carried.name:
            against = self._against(plan, row)
            if against is None:
                plan.faces.append(row.id)
            else:
                plan.conflicts.append(against)

    def _face_here(self, photo_id: int | None, box: Box) -> FaceRow | None:
        """The face of a photo that lies where another catalog has one."""
        ids, boxes = self._catalog.faces.boxes(photo_id) if photo_id is not None else ([], np.zeros((0, 4)))
        pairs = pair_up(boxes, np.array([(box.x, box.y, box.w, box.h)], np.float64))
        return next(iter(self._catalog.faces.rows([ids[mine] for mine, _ in pairs])), None)

    def _against(self, plan: PersonPlan, row: FaceRow) -> CarriedConflict | None:
        """What a user said here against that the face is that person."""
        name, person_id = plan.carried.name, plan.person_id
        if row.mark is not None:
            return CarriedConflict(name, Against.TAKEN_OUT, row.id)
        if row.source == USER:
            return CarriedConflict(name, Against.ASSIGNED, row.id, self._label(row.person_id))
        if person_id is None:
            return None
        if person_id in self._catalog.rejections.of_faces([row.id]).get(row.id, ()):
            return CarriedConflict(name, Against.REJECTED, row.id)
        beside = self._catalog.faces.beside([row.photo_id], person_id)
        if any(other.id != row.id and other.source == USER for other in beside):
            return CarriedConflict(name, Against.IN_PHOTO, row.id)
        return None

    def _label(self, person_id: int | None) -> str:
        return self._catalog.people.label(person_id or 0) or ""

    def _add_rejection(self, plan: PersonPlan, place: CarriedPlace) -> None:
        row = self._face_here(self._catalog.photos.with_hash(place.sha256), place.box)
        if row is None:
            return
        if row.person_id == plan.person_id and row.source == USER:
            plan.conflicts.append(CarriedConflict(plan.carried.name, Against.IS_PERSON, row.id))
        elif plan.person_id not in self._catalog.rejections.of_faces([row.id]).get(row.id, ()):
            plan.rejected.append(row.id)

    # --- what else is said ---

    def _add_photos(self, plan: PersonPlan) -> None:
        known = self._catalog.presences.of_person(plan.person_id) if plan.person_id is not None else set()
        for photo in plan.carried.photos:
            photo_id = self._catalog.photos.with_hash(photo.sha256)
            if photo_id is not None and photo_id not in known:
                plan.photos.append(photo_id)

    def _add_birth(self, plan: PersonPlan) -> None:
        here = self._catalog.people.births().get(plan.person_id or 0)
        if plan.carried.born is None or plan.carried.born == here:
            return
        if here is None:
            plan.born = plan.carried.born
        else:
            plan.conflicts.append(CarriedConflict(plan.carried.name, Against.BORN, detail=here))


def pairs_apart(catalog: Catalog, carried: Carried) -> Iterator[tuple[int, int]]:
    """Yield the people here of whom a user said there, and nobody here yet, that they are two."""
    ids: Mapping[str, int] = {name_key(name): person_id for person_id, name in catalog.people.names().items()}
    known = catalog.rejections.cannot_links()
    for names in carried.apart:
        one, other = (ids.get(name_key(name)) for name in names)
        if one is not None and other is not None and one != other and other not in known.get(one, ()):
            yield one, other
