"""Records what is taken over from files as decisions: whose faces are, and who is in photos without one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from facewatch.catalog import USER, Catalog
from facewatch.catalog.metadata import MetadataKind
from facewatch.people.assigning import Assigner
from facewatch.people.lookup import name_key
from facewatch.people.named_faces import Means, NamedFace, PhotoNames
from facewatch.people.record import Result

_LEAST_OF_GROUP = 2
"""Faces of an unnamed person that must bear a name for it to become that of the person; and half of its faces."""

_RULES = {
    MetadataKind.SIDECAR: "named in a file beside the photo",
    MetadataKind.EMBEDDED: "named in the photo itself",
    MetadataKind.PICASA: "named in Picasa",
    MetadataKind.TAKEOUT: "named in Google Photos",
}


class NameTaker(Assigner):
    """Records what is taken over from files."""

    def name_groups(self, photos: Iterable[PhotoNames]) -> None:
        """Unnamed people of whom files name at least half of the faces, all alike, and as nobody is called yet, get
        that name."""
        catalog = self._catalog
        with catalog.write():
            for person_id, name in _names_of_groups(catalog, photos):
                if self._called(name) is None:
                    with self._deciding("import", [person_id], who=name, before=self._label(person_id)):
                        catalog.people.rename(person_id, name)
                        catalog.people.mark_edited([person_id])

    def take_faces(self, photos: Iterable[PhotoNames]) -> None:
        """Give these faces to whom files say they are, as far as no user said otherwise."""
        with self._taking() as result:
            for photo in photos:
                for named in photo.faces:
                    if photo.trouble_of(named) is None:
                        self._take(named, _UNPLACED.get(named.means) or _RULES[named.kind], result)

    def take_presences(self, photos: Iterable[PhotoNames]) -> None:
        """People of whom no face was found are in these photos without one."""
        with self._taking() as result:
            for photo in photos:
                for name in photo.others:
                    self._take_presence(photo.photo_id, name, result)

    @contextmanager
    def _taking(self) -> Iterator[Result]:
        with self._catalog.write():
            self._ids = {name_key(name): person_id for person_id, name in self._catalog.people.names().items()}
            with self._deciding("import", []) as result:
                yield result

    _ids: dict[str, int]
    """Who bears which name."""

    def _person(self, name: str, result: Result) -> int:
        person_id = self._ids.get(name_key(name))
        if person_id is None:
            person_id = self._ids[name_key(name)] = self._id_of(None, name, result)
        result.people.append(person_id)
        return person_id

    def _take(self, named: NamedFace, rule: str, result: Result) -> None:
        [row] = self._catalog.faces.rows([named.face.id])  # as it is by now
        catalog, [name] = self._catalog, named.names
        known = self._ids.get(name_key(name))
        if row.source == USER or row.mark is not None or (row.source == "import" and row.person_id == known):
            return
        if known is not None and known in catalog.rejections.of_faces([row.id]).get(row.id, ()):
            return
        person_id = self._person(name, result)
        beside = catalog.faces.beside([row.photo_id], person_id)
        if any(other.id != row.id and other.source == USER for other in beside):
            return
        self._release([other for other in beside if other.id != row.id], result)
        if row.person_id not in (None, person_id):
            # Nobody said of that one that it is who it is: a group may still grow, or become part of another.
            self._lose([row], result)
            result.people.append(int(row.person_id or 0))
        catalog.assignments.assign_from_file(row.id, person_id, rule=rule, now=catalog.now())
        catalog.people.mark_edited([person_id])
        result.faces.append(row.id)

    def _take_presence(self, photo_id: int, name: str, result: Result) -> None:
        catalog, known = self._catalog, self._ids.get(name_key(name))
        if known is not None and (
            catalog.faces.beside([photo_id], known) or photo_id in catalog.presences.of_person(known)
        ):
            return
        person_id = self._person(name, result)
        catalog.presences.add(person_id, [photo_id], catalog.now())
        catalog.people.mark_edited([person_id])
        result.photos.append(photo_id)


_UNPLACED = {
    Means.LOOKS: "named in a file, and nearest of the faces of its photo",
    Means.ONLY: "named in a file, and the only face of its photo",
}


def _names_of_groups(catalog: Catalog, photos: Iterable[PhotoNames]) -> Iterator[tuple[int, str]]:
    """Yield unnamed people whom nobody has decided about, and the one name that files have for them."""
    names: dict[int, Counter[str]] = defaultdict(Counter)
    for photo in photos:
        for named in photo.faces:
            if named.face.person_id is not None and photo.trouble_of(named) is None:
                names[named.face.person_id][named.names[0]] += 1
    for person_id, counts in names.items():
        person = catalog.people.one(person_id)
        [(name, n), *_] = counts.most_common(1)
        is_one = len({*map(name_key, counts)}) == 1
        if person and person.is_machine_made and is_one and n >= max(_LEAST_OF_GROUP, person.n_faces / 2):
            yield person_id, name
