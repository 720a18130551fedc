"""What decisions about faces share: which face is meant, whom it goes to, and what makes room for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from facewatch import ids
from facewatch.catalog import USER, Catalog, FaceRow, Person
from facewatch.catalog.assignments import PLACED
from facewatch.errors import NotKnownError
from facewatch.people.lookup import (
    LinkAt,
    NobodyCalledError,
    PhotoOf,
    clean_name,
    find_faces,
    find_person,
    name_key,
    no_link,
)
from facewatch.people.record import Recorder, Result
from facewatch.text import plural


def _no_photo(path: Path) -> int:
    raise NotKnownError(f"{path}: not in the catalog; name the face by its id")


class NameTakenError(NotKnownError):
    """Somebody else has this name already."""

    def __init__(self, name: str, other: Person, *, advice: str) -> None:
        """`advice` is what to type if that one is meant."""
        taken, n_photos = f"{name} is already the name of", plural(other.n_photos, "photo")
        super().__init__(
            f"{taken} {ids.person(other.id)} ({n_photos}); {advice}", on_page=f"{taken} somebody else ({n_photos})"
        )
        self.other = other


class Assigner(Recorder):
    """Gives faces to people by the user's word."""

    def __init__(self, catalog: Catalog, *, photo_of: PhotoOf = _no_photo, link_at: LinkAt = no_link) -> None:
        """`photo_of` returns the id of the photo at a path, for faces that are named by their photo; `link_at` what a
        link in the people folder stands for."""
        super().__init__(catalog)
        self._photo_of = photo_of
        self._link_at = link_at

    def _faces(self, faces: Sequence[str], *, instead: Callable[[Person], str] | None = None) -> list[FaceRow]:
        return find_faces(self._catalog, faces, self._photo_of, link_at=self._link_at, instead=instead)

    def _find_receiver(self, who: str, *, is_new: bool) -> tuple[Person | None, str]:
        """Return the person who gets something, None where it is somebody new, and what that one is called.

        Raises:
            NotKnownError: nobody is called so, or, of somebody new, somebody is.
        """
        person = None if is_new else self._find_or_offer(who)
        return person, self._free_name(who) if person is None else person.label

    def _id_of(self, person: Person | None, name: str, result: Result) -> int:
        """Return the id of a receiver, who is made where it is somebody new."""
        if person is not None:
            return person.id
        person_id = self._catalog.people.add(self._catalog.now())
        self._catalog.people.rename(person_id, name)
        result.people.append(person_id)
        return person_id

    def _find_or_offer(self, who: str) -> Person:
        try:
            return find_person(self._catalog, who)
        except NobodyCalledError as error:
            may_be_new = ids.read_id(who) is None
            raise NotKnownError(
                f"{error}; for somebody new: --new" if may_be_new else str(error), on_page=error.on_page
            ) from error

    def _free_name(self, new: str) -> str:
        name = clean_name(new)
        taken = self._called(name)
        if taken is not None:
            raise NameTakenError(name, self._alive(taken), advice="without --new the faces are theirs")
        return name

    def _called(self, name: str) -> int | None:
        """Return who has this name, in whatever case."""
        names, key = self._catalog.people.names(), name_key(name)
        return next((person_id for person_id, other in names.items() if name_key(other) == key), None)

    def _alive(self, person_id: int) -> Person:
        person = self._catalog.people.one(person_id)
        assert person is not None
        return person

    def _place(self, rows: Sequence[FaceRow], person_id: int, result: Result) -> None:
        """These are that person, for ever; what a run assigned beside them in the same photo makes room."""
        catalog, assigned = self._catalog, {row.id for row in rows}
        beside = catalog.faces.beside({row.photo_id for row in rows}, person_id)
        self._release([row for row in beside if row.id not in assigned and row.source != USER], result)
        for row in rows:
            if row.person_id == person_id and row.source == USER:
                continue
            if row.person_id == person_id:
                catalog.assignments.confirm([row.id])
            else:
                catalog.assignments.assign_by_user(row.id, person_id, rule=PLACED, now=catalog.now())
        self._mark_losers(rows, person_id, result)
        catalog.people.mark_edited([person_id])
        result.faces += [row.id for row in rows]
