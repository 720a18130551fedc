"""Records whom reference pictures show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from facewatch.people.assigning import Assigner
from facewatch.people.lookup import clean_name
from facewatch.people.record import Decided
from facewatch.types import Analysis


@dataclass(frozen=True, slots=True)
class ReferenceFace:
    """The face of a picture that shows who somebody is."""

    sha256: bytes
    """Of the picture."""
    face_id: int | None
    """None: the catalog does not know it yet ..."""
    analysis: Analysis | None = None
    """... but the engine has found it, beside others ..."""
    number: int = 0
    """... as this one of them."""


class ReferenceTaker(Assigner):
    """Gives faces of reference pictures to people."""

    def take_references(self, name: str, faces: Iterable[ReferenceFace], engine_id: int) -> Decided:
        """These show who a person is, who is made where nobody has the name.

        Raises:
            NotKnownError: nobody can be called so.
        """
        catalog, name = self._catalog, clean_name(name)
        with catalog.write():
            known = self._called(name)
            with self._deciding("import", [], who=name) as result:
                rows = catalog.faces.rows([self._on_record(face, engine_id) for face in faces])
                catalog.photos.set_reference({row.photo_id for row in rows})
                person_id = self._id_of(None, name, result) if known is None else known
                result.people.insert(0, person_id)
                self._place(rows, person_id, result)
        return result()

    def _on_record(self, face: ReferenceFace, engine_id: int) -> int:
        if face.face_id is not None:
            return face.face_id
        catalog, seen = self._catalog, face.analysis
        assert seen is not None
        now, size = catalog.now(), (seen.width, seen.height)
        photo_id = catalog.photos.add(face.sha256, size, seen.format, now, taken_at=seen.taken_at)
        return catalog.faces.add_analysis(photo_id, engine_id, seen, now)[face.number]
