"""What users decide about people and faces. Needs no engine: decisions are about faces, whichever engine found them.

Every decision is one transaction and one entry of the journal, which says what takes it back. What users assigned no
run moves, and what they rejected stays rejected, also through merges and splits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import date
from functools import partial
from itertools import permutations
from shlex import quote

from facewatch import ids
from facewatch.catalog import USER, FaceRow, Mark, Person
from facewatch.catalog.assignments import split_rule
from facewatch.errors import DecisionError, NotKnownError
from facewatch.people.additions import Additions
from facewatch.people.assigning import NameTakenError
from facewatch.people.births import unborn
from facewatch.people.carry_taking import CarryTaker
from facewatch.people.lookup import (
    NobodyCalledError,
    clean_name,
    find_person,
    handle_of,
    near_names,
)
from facewatch.people.name_taking import NameTaker
from facewatch.people.record import Decided, Renamed, Result
from facewatch.people.reference_taking import ReferenceTaker
from facewatch.text import plural

_NOBODYS = "one of these faces belongs to nobody now"

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


class Decisions(Additions, NameTaker, ReferenceTaker, CarryTaker):
    """Applies and journals them."""

    # --- people ---

    def rename(self, who: str, new: str, *, may_merge: bool = False) -> Renamed:
        """Name a person; naming it like another one merges the two when `may_merge`.

        Raises:
            NotKnownError: nobody or several people fit `who`, or the name is taken and `may_merge` is False.
            DecisionError: the merge contradicts what a user said.
        """
        name = clean_name(new)
        with self._catalog.write():
            person, taken = find_person(self._catalog, who), self._called(name)
            if taken is not None and taken != person.id:
                other = self._alive(taken)
                if not may_merge:
                    merge = f"facewatch rename {quote(who)} {quote(other.name or '')} --merge"
                    raise NameTakenError(other.label, other, advice=f"if they are the same person: {merge}")
                decided = self._merge(other, [person])
                return Renamed(self._alive(taken), person.label, merged=person, decided=decided)
            if may_merge and taken is None:
                near = near_names(name.casefold(), self._catalog.people.names())
                raise NotKnownError(f"nobody is called {name!r}{near}; to give it: no --merge")
            with self._deciding("rename", [person.id], name=name, before=person.label) as result:
                self._catalog.people.rename(person.id, name)
                self._catalog.people.mark_edited([person.id])
        return Renamed(self._alive(person.id), person.label, merged=None, decided=result())

    def merge(self, into: str, others: Sequence[str]) -> Decided:
        """Make several people one; the first keeps id, name and folder, and takes a name if it has none.

        Raises:
            NotKnownError: somebody is not known.
            DecisionError: somebody is named twice, or a user said of a face that it is the one and not the other.
        """
        with self._catalog.write():
            target = find_person(self._catalog, into)
            sources = [find_person(self._catalog, other) for other in others]
            seen = {target.id: into}
            for other, person in zip(others, sources, strict=True):
                if person.id in seen:
                    raise DecisionError(
                        f"{other!r} and {seen[person.id]!r} are both {person.label}: nobody is merged with themselves; "
                        "name each person once"
                    )
                seen[person.id] = other
            return self._merge(target, sources)

    def _merge(self, target: Person, sources: Sequence[Person]) -> Decided:
        for one, other in permutations((target, *sources), 2):
            self._check_merge(one, other)
        people = [target.id, *(source.id for source in sources)]
        labels = [source.label for source in sources]
        catalog = self._catalog
        others = self._catalog.rejections.cannot_links().get(target.id, ())
        were_apart = [source.label for source in sources if source.id in others]
        with self._deciding("merge", people, into=target.label, merged=labels, were_apart=were_apart) as result:
            for source in sources:
                self._release(self._clashes_of(target.id, source.id), result)
                result.faces += catalog.assignments.reassign_all(source.id, target.id)
                catalog.presences.reassign_all(source.id, target.id)
                catalog.people.retire(source.id, target.id)
            catalog.people.mark_edited([target.id])
            self._inherit(target, sources)
            self._release_unborn(target.id, result)
        return result()

    def _inherit(self, target: Person, sources: Sequence[Person]) -> None:
        """What nobody said about the one may be known of another."""
        people = self._catalog.people
        own = {row.id for row in self._catalog.faces.of_person(target.id)}
        for one in reversed((target, *sources)):
            if one.name is not None:
                people.rename(target.id, one.name)
            if one.born is not None:
                people.set_born(target.id, one.born)
            if one.cover_id in own:
                people.set_cover(target.id, one.cover_id)

    def _check_merge(self, one: Person, other: Person) -> None:
        """Refuse to bring together what a user assigned to one and said not to be the other."""
        rejected = self._catalog.rejections.of_person(other.id)
        assigned = [row for row in self._catalog.faces.of_person(one.id) if row.source == USER and row.id in rejected]
        if assigned:
            faces = ", ".join(ids.face(row.id) for row in assigned[:10])
            cannot = f"{one.label} and {other.label} cannot be one: you assigned"
            meant = f"to {one.label} and said that it is not {other.label}; if that was wrong"
            raise DecisionError(
                f"{cannot} face {faces} {meant}: facewatch unassign {ids.face(assigned[0].id)}",
                on_page=f"{cannot} {plural(len(assigned), 'face')} {meant}, take it out of {one.label} first",
            )

    def _clashes_of(self, target: int, source: int) -> list[FaceRow]:
        """Return the faces that must leave when two people become one: those that a user said are not the other, and
        all but one in a photo as far as a run assigned them: the user's stay, then those of the first person."""
        faces = self._catalog.faces
        of_target, of_source = faces.of_person(target), faces.of_person(source)
        rejected = self._catalog.rejections.of_person(target), self._catalog.rejections.of_person(source)
        gone = {row.id: row for row in of_source if row.id in rejected[0]} | {
            row.id: row for row in of_target if row.id in rejected[1]
        }
        stays: dict[int, FaceRow] = {}
        for row in sorted((*of_target, *of_source), key=lambda row: row.source != USER):
            if row.id not in gone and stays.setdefault(row.photo_id, row) is not row and row.source != USER:
                gone[row.id] = row
        return [gone[face_id] for face_id in sorted(gone)]

    def split(self, person: Person, parts: Sequence[Collection[int]]) -> Decided:
        """Take parts, each some faces of a person, out of it, as unnamed people; returns the new ones behind the old.

        Whoever is not the old one is not the new ones, and no run makes them one again. Photos that the person is in
        without a face stay with the old one.

        Raises:
            DecisionError: a user assigned one of the faces, or none would stay.
        """
        moving = {face_id for part in parts for face_id in part}
        catalog, now = self._catalog, self._catalog.now()
        with catalog.write():
            rows = catalog.faces.of_person(person.id)
            assigned = [row.id for row in rows if row.source == USER and row.id in moving]
            if assigned:
                raise DecisionError(
                    f"face {ids.face(assigned[0])} was assigned to {person.label} by you; unassign it first"
                )
            if not moving < {row.id for row in rows}:
                raise DecisionError(f"{person.label} has changed meanwhile; check it again")
            with self._deciding("split", [person.id], before=person.label) as result:
                for part in parts:
                    new = catalog.people.add(now)
                    catalog.people.mark_edited([new])
                    catalog.assignments.move(part, new, rule=split_rule(person.label), now=now)
                    catalog.rejections.copy(person.id, new)
                    result.people.append(new)
                    result.faces += sorted(part)
                catalog.people.mark_edited([person.id])
                for i, one in enumerate(result.people):
                    for other in result.people[i + 1 :]:
                        catalog.rejections.add_cannot_link(one, other, now)
        return result()

    def cannot_link(self, who: str, other: str) -> Decided:
        """Two people: no run makes them one, and nobody is asked again."""
        with self._catalog.write():
            one, two = find_person(self._catalog, who), find_person(self._catalog, other)
            if one.id == two.id:
                raise DecisionError(
                    f"{who!r} and {other!r} are both {one.label}; `facewatch split` makes two of one",
                    on_page=f"both are {one.label}",
                )
            with self._deciding("apart", [one.id, two.id], one=one.label, other=two.label) as result:
                self._catalog.rejections.add_cannot_link(one.id, two.id, self._catalog.now())
                self._catalog.people.mark_edited([one.id, two.id])
        return result()

    def hide(self, who: str, others: Sequence[str] = ()) -> Decided:
        """No folder and no questions any more; new faces of the person, and of others, are still recognised."""
        return self._hide([who, *others], True)

    def show(self, who: str, others: Sequence[str] = ()) -> Decided:
        """A hidden person, and others, have a folder again."""
        return self._hide([who, *others], False)

    def _hide(self, people: Sequence[str], is_hidden: bool) -> Decided:
        with self._catalog.write():
            found = {person.id: person for person in (find_person(self._catalog, who) for who in people)}
            labels = [person.label for person in found.values()]
            who = labels[0] if len(labels) == 1 else labels
            with self._deciding("hide" if is_hidden else "show", list(found), who=who) as result:
                for person in found.values():
                    if person.is_hidden != is_hidden:
                        self._catalog.people.hide(person.id, is_hidden)
                        self._catalog.people.mark_edited([person.id])
        return result()

    def cover(self, who: str, face: str) -> Decided:
        """This face stands for the person.

        Raises:
            DecisionError: it is somebody else's, or unassigned.
        """
        with self._catalog.write():
            person, [row] = find_person(self._catalog, who), self._faces([face])
            if row.person_id != person.id:
                whose = f"belongs to {self._label(row.person_id)}, not to {person.label}"
                assign = f"facewatch assign {ids.face(row.id)} {handle_of(person.id, person.label)}"
                raise DecisionError(
                    f"face {ids.face(row.id)} {whose}; if it does: {assign}", on_page=f"this face {whose}"
                )
            with self._deciding("cover", [person.id], who=person.label, face=row.id) as result:
                self._catalog.people.set_cover(person.id, row.id)
                self._catalog.people.mark_edited([person.id])
                result.faces.append(row.id)
        return result()

    def born(self, who: str, born: str | None) -> Decided:
        """No photo that was clearly taken before is matched with the person; None takes the date away.

        What runs assigned against that leaves; what users assigned stays.
        """
        when = clean_date(born) if born is not None else None
        catalog = self._catalog
        with catalog.write():
            person = find_person(catalog, who)
            with self._deciding("born", [person.id], who=person.label, born=when) as result:
                catalog.people.set_born(person.id, when)
                catalog.people.mark_edited([person.id])
                self._release_unborn(person.id, result)
        return result()

    def _release_unborn(self, person_id: int, result: Result) -> None:
        leaving = {row.id: row for row in unborn(self._catalog, [person_id]) if row.source != USER}
        self._release([leaving[face_id] for face_id in sorted(leaving)], result)
        result.faces = [face_id for face_id in result.faces if face_id not in leaving]

    def forget(self, who: str) -> Decided:
        """The person is gone, and its faces are never compared with any other again; it is in no photo any more."""
        catalog = self._catalog
        with catalog.write():
            person = find_person(catalog, who)
            with self._deciding("forget", [person.id], who=person.label) as result:
                result.faces += [row.id for row in catalog.faces.of_person(person.id)]
                catalog.assignments.release(result.faces)
                catalog.faces.mark(result.faces, Mark.FORGOTTEN, catalog.now())
                catalog.presences.remove(person.id, catalog.presences.of_person(person.id))
                catalog.people.forget(person.id)
        return result()

    # --- faces ---

    def assign(self, faces: Sequence[str], who: str, *, is_new: bool = False) -> Decided:
        """These are that person, for ever; what a run assigned beside them in the same photo makes room.

        With `is_new` nobody is called so yet.
        """
        with self._catalog.write():
            rows = self._faces(faces, instead=partial(self._rather_one, who, is_new=is_new))
            person, name = self._find_receiver(who, is_new=is_new)
            with self._deciding("assign", [person.id] if person else [], who=name) as result:
                self._place(rows, self._id_of(person, name, result), result)
        return result()

    def _rather_one(self, who: str, person: Person, *, is_new: bool) -> str:
        """Return what to type for who gives a whole person away."""
        try:
            other = None if is_new else find_person(self._catalog, who)
        except NobodyCalledError:
            other = None
        if other is None:
            return f"to name all of {person.label}: facewatch rename {ids.person(person.id)} {quote(who)}"
        into = handle_of(other.id, other.label)
        return f"if {person.label} and {other.label} are one person: facewatch merge {into} {ids.person(person.id)}"

    def unassign(self, faces: Sequence[str]) -> Decided:
        """These belong to nobody until a user says whose they are."""
        return self._take_out(
            "unassign",
            faces,
            Mark.NOBODY,
            lambda person: "facewatch split {0} parts somebody, facewatch forget {0} deletes them".format(
                ids.person(person.id)
            ),
        )

    def ignore(self, faces: Sequence[str]) -> Decided:
        """These are no faces."""
        return self._take_out(
            "ignore",
            faces,
            Mark.NOT_A_FACE,
            lambda person: f"if you do not want to see {person.label}: facewatch hide {ids.person(person.id)}",
        )

    def _take_out(self, action: str, faces: Sequence[str], mark: Mark, instead: Callable[[Person], str]) -> Decided:
        catalog = self._catalog
        with catalog.write():
            rows = self._faces(faces, instead=instead)
            with self._deciding(action, []) as result:
                changing = [row.id for row in rows if row.mark is not mark]
                catalog.assignments.release([row.id for row in rows])
                catalog.faces.mark(changing, mark, catalog.now())
                self._mark_losers(rows, None, result)
                result.faces += [row.id for row in rows]
        return result()

    def reject(self, faces: Sequence[str], who: str | None = None) -> Decided:
        """These are not that person (else: whose they are now), for ever; they may turn out to be somebody else.

        Raises:
            NotKnownError: a face belongs to nobody, and `who` is None.
        """
        catalog, now = self._catalog, self._catalog.now()
        with catalog.write():
            rows = self._faces(faces, instead=partial(_rather_two, who))
            person = find_person(catalog, who) if who is not None else None
            homeless = [ids.face(row.id) for row in rows if person is None and row.person_id is None]
            if homeless:
                raise NotKnownError(
                    f"face {homeless[0]} belongs to nobody; say who it is not: facewatch reject {homeless[0]} NAME",
                    on_page=_NOBODYS,
                )
            people = {person.id if person else int(row.person_id or 0): None for row in rows}
            labels = [self._label(person_id) for person_id in people]
            with self._deciding("reject", list(people), not_=labels) as result:
                for row in rows:
                    person_id = person.id if person else int(row.person_id or 0)
                    catalog.rejections.add(row.id, person_id, now)
                    if row.person_id == person_id:
                        self._lose([row], result)
                        catalog.assignments.release([row.id])
                catalog.people.mark_edited(people)
                result.faces += [row.id for row in rows]
        return result()

    def confirm(self, faces: Sequence[str]) -> Decided:
        """These are where they belong.

        Raises:
            NotKnownError: one belongs to nobody.
        """
        with self._catalog.write():
            rows = self._faces(
                faces,
                instead=lambda person: f"facewatch confirm {ids.person(person.id)} confirms all of {person.label}",
            )
            for row in rows:
                if row.person_id is None:
                    face = ids.face(row.id)
                    raise NotKnownError(
                        f"face {face} belongs to nobody; facewatch assign {face} NAME says whose it is",
                        on_page=_NOBODYS,
                    )
            return self._confirm(rows, list(dict.fromkeys(int(row.person_id or 0) for row in rows)))

    def confirm_person(self, who: str) -> Decided:
        """All faces of the person are where they belong."""
        with self._catalog.write():
            person = find_person(self._catalog, who)
            return self._confirm(self._catalog.faces.of_person(person.id), [person.id])

    def _confirm(self, rows: Sequence[FaceRow], people: Sequence[int]) -> Decided:
        with self._deciding("confirm", people, who=[self._label(person_id) for person_id in people]) as result:
            self._catalog.assignments.confirm([row.id for row in rows])
            self._catalog.people.mark_edited(people)
            result.faces += [row.id for row in rows]
        return result()


def clean_date(text: str) -> str:
    """Return YYYY, YYYY-MM or YYYY-MM-DD.

    Raises:
        NotKnownError: it is no date.
    """
    fault = f"{text!r} is no date; write it as 1985, 1985-04 or 1985-04-12"
    parts = _DATE.fullmatch(text.strip())
    if parts is None:
        raise NotKnownError(fault)
    try:
        date(int(parts[1]), int(parts[2] or 1), int(parts[3] or 1))
    except ValueError as error:
        raise NotKnownError(fault) from error
    return parts[0]


def _rather_two(who: str | None, person: Person) -> str:
    """What to type for who says that a whole person is not somebody."""
    if who is None:
        return f"say which of its faces; several people in one: facewatch split {ids.person(person.id)}"
    return f"if {person.label} and {who} are two people: facewatch apart {ids.person(person.id)} {quote(who)}"
