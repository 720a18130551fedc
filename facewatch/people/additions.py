"""What users add to what engines have found: a face that was missed, and that somebody is in a photo without one."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from facewatch import ids
from facewatch.boxes import pair_up
from facewatch.catalog import Person
from facewatch.errors import DecisionError, NotKnownError
from facewatch.people.assigning import Assigner
from facewatch.people.drawing import DrawnFace, check_is_free
from facewatch.people.lookup import find_person, handle_of
from facewatch.people.record import Decided


class Additions(Assigner):
    """Adds, and takes away again, what no engine has found."""

    def add_face(self, drawn: DrawnFace, who: str | None = None, *, is_new: bool = False) -> Decided:
        """There is a face in a box that no detector had found, whose `who` is; without, it is matched as any new one.

        With `is_new` nobody is called so yet.

        Raises:
            NotKnownError: nobody is called so.
            DecisionError: a face is there by now.
        """
        catalog = self._catalog
        with catalog.write():
            check_is_free(catalog, drawn.photo_id, drawn.box)
            person, name = self._find_receiver(who, is_new=is_new) if who is not None else (None, None)
            with self._deciding("draw", [person.id] if person else [], who=name) as result:
                face_id = catalog.drawn.add(
                    drawn.photo_id,
                    drawn.engine_id,
                    drawn.box,
                    drawn.face,
                    catalog.now(),
                    known=self._hidden_face(drawn),
                )
                if name is not None:
                    self._place(catalog.faces.rows([face_id]), self._id_of(person, name, result), result)
                else:
                    result.faces.append(face_id)
        return result()

    def _hidden_face(self, drawn: DrawnFace) -> int | None:
        """Return the face on record that was drawn: one that only another engine saw, or whose box was taken back."""
        known, boxes = self._catalog.faces.boxes(drawn.photo_id)
        box = drawn.face.box
        pairs = pair_up(boxes, np.array([(box.x, box.y, box.w, box.h)], np.float64))
        shown = {row["face_id"] for row in self._catalog.faces.in_photo(drawn.photo_id)}
        return next((known[old] for old, _ in pairs if known[old] not in shown), None)

    def present(self, who: str, photos: Collection[int], *, is_new: bool = False) -> Decided:
        """The person is in these photos, by id, though no face shows it; photos with a face of theirs are left out.

        With `is_new` nobody is called so yet.

        Raises:
            NotKnownError: nobody is called so, or there is no such photo.
        """
        catalog = self._catalog
        with catalog.write():
            self._check_known(photos)
            person, name = self._find_receiver(who, is_new=is_new)
            known = self._photos_of(person) if person else frozenset[int]()
            new = [photo_id for photo_id in dict.fromkeys(photos) if photo_id not in known]
            with self._deciding("present", [person.id] if person else [], who=name) as result:
                if new:
                    person_id = self._id_of(person, name, result)
                    catalog.presences.add(person_id, new, catalog.now())
                    catalog.people.mark_edited([person_id])
                result.photos += new
        return result()

    def absent(self, who: str, photos: Collection[int]) -> Decided:
        """The person is not in these photos after all.

        Raises:
            NotKnownError: nobody is called so.
            DecisionError: a face of one of these photos belongs to the person: that says so as well.
        """
        catalog = self._catalog
        with catalog.write():
            person = find_person(catalog, who)
            beside = catalog.faces.beside(photos, person.id)
            if beside:
                face = ids.face(beside[0].id)
                handle = handle_of(person.id, person.label)
                raise DecisionError(
                    f"face {face} is {person.label}; if it is not: facewatch reject {face} {handle}",
                    on_page=f"face {face} of this photo is {person.label}; if it is not, take it out first",
                )
            said = catalog.presences.of_person(person.id)
            gone = [photo_id for photo_id in dict.fromkeys(photos) if photo_id in said]
            with self._deciding("absent", [person.id], who=person.label) as result:
                if gone:
                    catalog.presences.remove(person.id, gone)
                    catalog.people.mark_edited([person.id])
                result.photos += gone
        return result()

    def _check_known(self, photos: Collection[int]) -> None:
        unknown = set(photos) - self._catalog.photos.known(photos)
        if unknown:
            raise NotKnownError(f"there is no photo {min(unknown)}; name a photo of the library")

    def _photos_of(self, person: Person) -> frozenset[int]:
        """Return the photos that somebody is in, by a face or by the user's word."""
        by_face = frozenset(row.photo_id for row in self._catalog.faces.of_person(person.id))
        return by_face | self._catalog.presences.of_person(person.id)
