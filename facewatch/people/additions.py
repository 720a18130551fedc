"""What users add to what engines have found: that somebody is in a photo without a face."""

from __future__ import annotations

from collections.abc import Collection

from facewatch import ids
from facewatch.catalog import Person
from facewatch.errors import DecisionError, NotKnownError
from facewatch.people.assigning import Assigner
from facewatch.people.lookup import find_person, handle_of
from facewatch.people.record import Decided


class Additions(Assigner):
    """Adds, and takes away again, what no engine has found."""

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
                raise DecisionError(
                    f"face {face} is {person.label}; if it is not: facewatch reject {face} "
                    f"{handle_of(person.id, person.label)}"
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
