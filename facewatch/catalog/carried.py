"""What of a catalog can be carried to another one: who people are, by their names and faces, and what users decided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facewatch.catalog.engines import SIGHTING_COLUMNS, KnownEngine
from facewatch.catalog.faces import BY_RUN
from facewatch.catalog.opening import TableAccess
from facewatch.types import Box, Covered, Face, Quality, Tier


@dataclass(frozen=True, slots=True)
class CarriedPhoto:
    """A photo, as another catalog knows it."""

    sha256: bytes
    width: int
    """Of the upright photo in pixels; so is `height`."""
    height: int
    format: str
    taken_at: str
    """See `Analysis.taken_at`."""


@dataclass(frozen=True, slots=True)
class CarriedFace:
    """A face of somebody, as another catalog has it."""

    photo: CarriedPhoto
    face: Face
    is_said: bool
    """A user or a file gave it to that person; else a run did."""


@dataclass(frozen=True, slots=True)
class CarriedPlace:
    """A face of which only is said where it is."""

    sha256: bytes
    """Of its photo."""
    box: Box


@dataclass(frozen=True, slots=True)
class CarriedPerson:
    """Somebody who has a name."""

    name: str
    born: str | None = None
    """See `Person.born`."""
    is_hidden: bool = False
    faces: tuple[CarriedFace, ...] = ()
    rejected: tuple[CarriedPlace, ...] = ()
    """Faces that a user said are not this person."""
    photos: tuple[CarriedPhoto, ...] = ()
    """Those that the person is in without a face, as a user said."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Who people are."""

    engine: str
    """Its name."""
    fingerprint: str
    """Of the engine whose embeddings these are."""
    n_dims: int
    people: tuple[CarriedPerson, ...]
    apart: tuple[tuple[str, str], ...] = ()
    """Names of two people each, of whom a user said that they are two."""


class CarriedFaces(TableAccess):
    """What is read of the tables people, assignments, faces, rejections, presences and apart to carry it."""

    def all(self, engine: KnownEngine, *, most_by_runs: int) -> Carried:
        """Return all people with names, with the faces that users and files gave them, and as many more of each, the
        best ones, as runs did.

        Args:
            engine: the one in use.
        """
        names = dict(
            self._db.execute(
                "SELECT id, name FROM people WHERE name IS NOT NULL AND merged_into IS NULL AND NOT is_gone ORDER BY id"
            ).fetchall()
        )
        people = tuple(self._person(person_id, name, engine, most_by_runs) for person_id, name in names.items())
        pairs = self._db.execute("SELECT person_id, other_id FROM apart ORDER BY 1, 2").fetchall()
        apart = tuple((names[one], names[other]) for one, other in pairs if one in names and other in names)
        return Carried(engine.name, engine.fingerprint, engine.n_dims, people, apart)

    def _person(self, person_id: int, name: str, engine: KnownEngine, most_by_runs: int) -> CarriedPerson:
        born, is_hidden = self._db.execute("SELECT born, is_hidden FROM people WHERE id = ?", [person_id]).fetchone()
        rejected = self._db.execute(
            "SELECT p.sha256, f.x, f.y, f.w, f.h FROM rejections r JOIN faces f ON f.id = r.face_id"
            " JOIN photos p ON p.id = f.photo_id WHERE r.person_id = ? ORDER BY f.id",
            [person_id],
        )
        photos = self._db.execute(
            f"SELECT {_PHOTO} FROM presences r JOIN photos p ON p.id = r.photo_id WHERE r.person_id = ? ORDER BY p.id",
            [person_id],
        )
        return CarriedPerson(
            name,
            born,
            bool(is_hidden),
            tuple(self._faces(person_id, engine, most_by_runs)),
            tuple(CarriedPlace(sha256, Box(*box)) for sha256, *box in rejected),
            tuple(CarriedPhoto(*photo) for photo in photos),
        )

    def _faces(self, person_id: int, engine: KnownEngine, most_by_runs: int) -> Iterator[CarriedFace]:
        columns = ", ".join(f"f.{column}" for column in SIGHTING_COLUMNS.split(", "))
        rows = self._db.execute(
            f"SELECT {_PHOTO}, a.source NOT {BY_RUN} AS is_said, e.vector, {columns} FROM assignments a"
            " JOIN faces f ON f.id = a.face_id JOIN photos p ON p.id = f.photo_id"
            " JOIN embeddings e ON e.face_id = f.id AND e.engine_id = ?"
            " WHERE a.person_id = ? AND f.engine_id = ? ORDER BY is_said DESC, f.tier != ?, f.quality DESC, f.id",
            [engine.id, person_id, engine.id, Tier.ENROLL.value],
        )
        n_by_runs = 0
        for sha256, width, height, format, taken_at, is_said, vector, *seen in rows:
            n_by_runs += not is_said
            if is_said or n_by_runs <= most_by_runs:
                face = _face(dict(zip(SIGHTING_COLUMNS.split(", "), seen, strict=True)), vector)
                yield CarriedFace(CarriedPhoto(sha256, width, height, format, taken_at), face, bool(is_said))


_PHOTO = (
    "p.sha256, COALESCE(p.width, 1), COALESCE(p.height, 1), COALESCE(p.format, '') AS format,"
    " COALESCE(p.taken_at, '') AS taken_at"
)


def _face(seen: Mapping[str, Any], vector: bytes) -> Face:
    box = Box(seen["x"], seen["y"], seen["w"], seen["h"], seen["turn"])
    quality = Quality(
        sharpness=seen["sharpness"],
        brightness=seen["brightness"],
        pixels=min(box.w, box.h),
        pose=seen["pose"] or 0.0,
        score=seen["quality"],
        tier=Tier(seen["tier"]),
        norm=seen["norm"],
        covered=Covered(seen["covered"] or ""),
    )
    embedding = np.frombuffer(vector, "<f4").astype(np.float32)
    return Face(box, tuple(json.loads(seen["landmarks"])), seen["score"], quality, embedding)
