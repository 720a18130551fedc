"""Records what is taken over from another catalog as decisions."""

from __future__ import annotations

from collections.abc import Iterable

from facewatch.catalog import RUNS
from facewatch.catalog.carried import CarriedFace
from facewatch.people.assigning import Assigner
from facewatch.people.carrying import PersonPlan
from facewatch.people.record import Decided, Result

RULE = "brought from another catalog"


class CarryTaker(Assigner):
    """Records what is taken over from another catalog."""

    def take_carried(self, plan: PersonPlan, engine_id: int) -> Decided:
        """Take over what is planned about a person, who is made where nobody has the name."""
        catalog = self._catalog
        with catalog.write(), self._deciding("import", [], who=plan.carried.name) as result:
            known = self._called(plan.carried.name)
            person_id = self._id_of(None, plan.carried.name, result) if known is None else known
            result.people.insert(0, person_id)
            if known is None:
                catalog.people.hide(person_id, plan.carried.is_hidden)
            if plan.born is not None:
                catalog.people.set_born(person_id, plan.born)
            faces = [*plan.faces, *(self._record(carried, engine_id) for carried in plan.references)]
            self._give(faces, person_id, result)
            self._reject(plan.rejected, person_id, result)
            catalog.presences.add(person_id, plan.photos, catalog.now())
            result.photos += plan.photos
            catalog.people.mark_edited([person_id])
        return result()

    def take_apart(self, pairs: Iterable[tuple[int, int]]) -> Decided:
        """These are two people each."""
        catalog = self._catalog
        with catalog.write(), self._deciding("import", []) as result:
            for one, other in pairs:
                catalog.rejections.add_cannot_link(one, other, catalog.now())
                result.people += [one, other]
        return result()

    def _record(self, carried: CarriedFace, engine_id: int) -> int:
        """The face of a photo that is not here, which the engine has seen elsewhere."""
        catalog, photo = self._catalog, carried.photo
        size = photo.width, photo.height
        photo_id = catalog.photos.add(photo.sha256, size, photo.format, catalog.now(), taken_at=photo.taken_at)
        catalog.photos.set_reference([photo_id])
        return catalog.faces.record(photo_id, engine_id, carried.face)

    def _give(self, faces: Iterable[int], person_id: int, result: Result) -> None:
        """Whom a run gave to that person in the same photos makes room."""
        catalog, rows = self._catalog, self._catalog.faces.rows(list(faces))
        given = {row.id for row in rows}
        beside = catalog.faces.beside({row.photo_id for row in rows}, person_id)
        self._release([other for other in beside if other.id not in given and other.source in RUNS], result)
        for row in rows:
            if row.person_id not in (None, person_id):
                self._lose([row], result)
                result.people.append(int(row.person_id or 0))
            catalog.assignments.assign_from_file(row.id, person_id, rule=RULE, now=catalog.now())
            result.faces.append(row.id)

    def _reject(self, faces: Iterable[int], person_id: int, result: Result) -> None:
        catalog = self._catalog
        for row in catalog.faces.rows(list(faces)):
            catalog.rejections.add(row.id, person_id, catalog.now())
            if row.person_id == person_id:
                self._lose([row], result)
                catalog.assignments.release([row.id])
            result.faces.append(row.id)
