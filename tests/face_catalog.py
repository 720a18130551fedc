"""A catalog that is filled face by face, without photos and without an engine, and what a review asks about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewatch.catalog import Catalog
from facewatch.engines import fake
from facewatch.people.corrections import Decisions
from facewatch.people.review.question import Question
from facewatch.people.review.questions import open_questions
from facewatch.people.review.session import Review
from facewatch.people.undo import History
from facewatch.types import Analysis, Box, EngineInfo, Face, Fingerprint, Quality, Tier


class FaceCatalog:
    """Faces, and groups of them that a run made."""

    def __init__(self, catalog: Catalog, info: EngineInfo = fake.INFO) -> None:
        self.catalog, self.info = catalog, info
        self.decisions = Decisions(catalog)
        with catalog.write():
            self.engine_id = catalog.engines.add(info, catalog.now())
            self._root = catalog.roots.add(Path("/nowhere"), 0, catalog.now())
        self._n_photos = 0

    def photo(self, *vectors: NDArray[np.float32], tier: Tier = Tier.ENROLL) -> list[int]:
        """Return the ids of the faces of a new photo, nobody's yet."""
        self._n_photos += 1
        faces = tuple(
            Face(Box(200 * i, 0, 90, 90), (0.0,) * 10, 1.0, Quality(1.0, 1.0, 90, 0.0, 0.9, tier), vector)
            for i, vector in enumerate(vectors)
        )
        analysis, catalog = Analysis(2000, 200, "PNG", faces), self.catalog
        with catalog.write():
            now = catalog.now()
            photo_id = catalog.photos.add(self._n_photos.to_bytes(32, "big"), (2000, 200), "PNG", now)
            path = f"{self._n_photos}.png"
            catalog.files.record(self._root, path, Fingerprint(1, 1, 0), photo_id=photo_id, fault=None, now=now)
            return catalog.faces.add_analysis(photo_id, self.engine_id, analysis, now)

    def loose(self, *vectors: NDArray[np.float32], tier: Tier = Tier.ENROLL) -> list[int]:
        """Return the faces of new photos of one face each."""
        return [face_id for vector in vectors for face_id in self.photo(vector, tier=tier)]

    def group_of(self, faces: list[int]) -> int:
        """Return a machine-made person with these faces."""
        with self.catalog.write():
            person_id = self.catalog.people.add(self.catalog.now())
            for face_id in faces:
                self.catalog.assignments.assign_by_user(face_id, person_id, rule="test", now=self.catalog.now())
            self.catalog._db.execute("UPDATE assignments SET source = 'cluster' WHERE person_id = ?", [person_id])
        return person_id

    def questions(self, kind: str = "") -> list[Question]:
        return [q for q in open_questions(self.catalog, self.engine_id, self.info) if kind in ("", q.kind)]

    def review(self, n_between: int = 0) -> Review:
        @contextmanager
        def deciding() -> Iterator[Decisions]:
            yield Decisions(self.catalog)

        undo = History(self.catalog).undo_one
        return Review(self.catalog, self.engine_id, self.info, deciding=deciding, undo=undo, n_between=n_between)
