"""Takes names over that other programs gave to people in photos.

Trusted most is what users decide here, then what files say, then what runs found: a name from a file moves a face that
a run assigned, never one that a user placed, and nobody who was said not to be one. What is taken over at a time is one
entry of the journal. What is in doubt is not taken over but told: see `Trouble`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY, USER, Catalog, Mark
from facewatch.catalog.metadata import MetadataKind, Way
from facewatch.people.lookup import name_key
from facewatch.people.named_faces import (
    Means,
    NamedFace,
    PhotoNames,
    Picture,
    Saying,
    Trouble,
    names_in_photo,
    speaks_of_people,
)
from facewatch.people.record import Decided
from facewatch.regions import stored
from facewatch.regions.model import Size
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.indexing.engine import WantedEngine
    from facewatch.matching import Gallery
    from facewatch.people.apply import Corrections
    from facewatch.people.identities import Identities
    from facewatch.types import Floats, Ints

TAKEN_TOGETHER = 256
"""Photos whose names are taken over in one transaction."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A name that files give and that was not taken over."""

    photo_id: int
    face_id: int
    names: tuple[str, ...]
    """What files say."""
    trouble: Trouble
    who: str | None
    """Whose the face is; None: nobody's."""


@dataclass(frozen=True, slots=True)
class SaidCounts:
    """What files say, in numbers."""

    n_by_kind: Mapping[str, int]
    """Photos of which each kind of file says who is in them."""
    n_taken: int
    """Faces that bear the name that a file gives them because it does."""
    n_damaged: int
    """Files that cannot be used."""


@dataclass(eq=False)
class NamesFromFiles:
    """What files say about people, beside what the catalog says."""

    catalog: Catalog
    engine: WantedEngine
    identities: Identities
    corrections: Corrections
    kinds: frozenset[MetadataKind]
    """The files that count."""

    def take_over(self) -> list[Decided]:
        """Take over what files say that was not looked at yet; returns what was done.

        Raises:
            FolderError: it is decided, but the folders do not show it.
        """
        photo_ids = self.catalog.beside.not_taken(self.kinds)
        if not photo_ids:
            return []
        with self.catalog.read():
            photos = [self._news(photo_id) for photo_id in photo_ids]
        with self.corrections.deciding() as decisions, decisions.as_one(source="files", n_spoken=len(photos)):
            decisions.name_groups(photos)
            for batch in _batches(photos):
                decisions.take_faces(batch)
            self.identities.renew({person_id for made in decisions.made for person_id in made.people})
            found = dict(self._found_by_looks(photos))
            for batch in _batches([named for named in found.values() if named.faces]):
                decisions.take_faces(batch)
            for batch in _batches(photos):
                with self.catalog.write():
                    decisions.take_presences(found.get(photo.photo_id, photo) for photo in batch)
                    self.catalog.beside.set_taken([photo.photo_id for photo in batch], self.kinds)
        return [one for one in decisions.made if one.entry_id is not None]

    def conflicts(self) -> list[Conflict]:
        """Return the names in files that do not stand in the catalog, and why."""
        found: list[Conflict] = []
        with self.catalog.read():
            people = self.catalog.people.names()
            for photo_id in self.catalog.beside.spoken_of(self.kinds):
                photo = self._names(photo_id)
                rejected = self.catalog.rejections.of_faces([named.face.id for named in photo.faces])
                for named in photo.faces:
                    trouble = _trouble(photo, named, people, rejected.get(named.face.id, ()))
                    if trouble is not None:
                        who = people.get(named.face.person_id or 0)
                        found.append(Conflict(photo_id, named.face.id, named.names, trouble, who))
        return found

    def n_conflicts(self, most: int) -> int | None:
        """Return how many of these there are; None: more than so many photos would have to be looked at."""
        return len(self.conflicts()) if len(self.catalog.beside.spoken_of(self.kinds)) <= most else None

    def counts(self) -> SaidCounts:
        n_by_kind: Counter[str] = Counter()
        with self.catalog.read():
            for photo_id in self.catalog.beside.spoken_of(self.kinds):
                kinds = {saying.kind for saying in self._sayings(photo_id) if speaks_of_people(saying.said)}
                n_by_kind.update(map(str, kinds))
            n_taken, n_damaged = self.catalog.beside.n_taken(), self.catalog.beside.n_damaged()
        return SaidCounts(n_by_kind, n_taken, n_damaged)

    def _names(self, photo_id: int) -> PhotoNames:
        return names_in_photo(self._picture(photo_id), self._sayings(photo_id))

    def _news(self, photo_id: int) -> PhotoNames:
        """Who is in a photo by what files say now and did not say when they were looked at last."""
        picture, taken = self._picture(photo_id), self.catalog.beside.taken(photo_id)
        paths = {saying.path: saying.kind for saying in self._sayings(photo_id)}
        before = [Saying(paths[path], path, stored.from_json(said)) for path, said in taken.items() if path in paths]
        news = self._names(photo_id).without(names_in_photo(picture, before))
        # What facewatch has written itself is nobody else's word.
        for row in self.catalog.metadata.of_photo(photo_id, Way.WRITTEN):
            if row.path in paths:
                news = news.without(names_in_photo(picture, [Saying(row.kind, row.path, stored.from_json(row.said))]))
        return news

    def _sayings(self, photo_id: int) -> list[Saying]:
        rows = self.catalog.metadata.of_photo(photo_id, Way.READ)
        return [
            Saying(row.kind, row.path, stored.from_json(row.said))
            for row in rows
            if row.kind in self.kinds and row.doubt is None
        ]

    def _picture(self, photo_id: int) -> Picture:
        width, height, orientation = self.catalog.beside.shape_of(photo_id)
        faces = [int(row["face_id"]) for row in self.catalog.faces.in_photo(photo_id)]
        return Picture(photo_id, Size(width, height), orientation, tuple(self.catalog.faces.rows(faces)))

    # --- whose name has no place in its photo ---

    def _found_by_looks(self, photos: Iterable[PhotoNames]) -> Iterator[tuple[int, PhotoNames]]:
        """Yield photos in which a face is found for a name without a place, with the names that are left."""
        waiting = [photo for photo in photos if photo.others]
        if not waiting or not self._can_compare:
            return
        known, ids = self.identities.gallery(), {name_key(n): i for i, n in self.catalog.people.names().items()}
        alone: dict[str, dict[int, _Free]] = defaultdict(dict)
        for photo in waiting:
            free = self._free_faces(photo)
            found = {name: face for name in photo.others if (face := _nearest(known, free, ids.get(name_key(name))))}
            if not found and len(photo.others) == len(free.ids) == 1:
                alone[name_key(photo.others[0])][photo.photo_id] = free
            if found:
                yield photo.photo_id, self._with_faces(photo, found, Means.LOOKS)
        by_id = {photo.photo_id: photo for photo in waiting}
        for key, faces in alone.items():
            pairs, means = _alike(faces, self.engine.info.thresholds.match), Means.LOOKS
            if len(faces) == 1 and not self.catalog.faces.of_person(ids.get(key, NOBODY)):
                pairs, means = (
                    [(one, int(free.ids[0])) for one, free in faces.items() if self._is_alone(one)],
                    Means.ONLY,
                )
            for photo_id, face_id in pairs:
                yield photo_id, self._with_faces(by_id[photo_id], {by_id[photo_id].others[0]: face_id}, means)

    def _is_alone(self, photo_id: int) -> bool:
        """Whether a photo shows one face, and files name one person there and no place for anybody."""
        is_placed = any(face.names for saying in self._sayings(photo_id) for face in saying.said.faces)
        is_one = len(self._names(photo_id).others) == len(self.catalog.faces.in_photo(photo_id)) == 1
        return is_one and not is_placed

    @property
    def _can_compare(self) -> bool:
        is_in_use = self.catalog.engines.in_use_name() == self.engine.name
        return is_in_use and not self.engine.is_switch_under_way

    def _free_faces(self, photo: PhotoNames) -> _Free:
        """The faces of a photo that may be anybody's, by what users and files say."""
        table = self.catalog.faces.load(self.engine.id, n_dims=self.engine.info.n_dims, photo_id=photo.photo_id)
        said, people = self._names(photo.photo_id), self.catalog.people.names()
        named = [face.face.id for face in said.faces]
        keys = {*map(name_key, said.others)}.union(*(face.keys for face in said.faces))
        rows = self.catalog.faces.rows(table.ids.tolist())
        # Those whose name files do not say any more are free: it may have been changed there.
        from_files = [r.id for r in rows if r.source == "import" and name_key(people.get(r.person_id or 0, "")) in keys]
        is_free = ~table.by_user & ~np.isin(table.ids, [*named, *from_files]) & (table.tiers != Tier.SHOW.value)
        table = table.take(is_free)
        return _Free(table.ids, table.embeddings, [Tier(tier) for tier in table.tiers], table.day)

    def _with_faces(self, photo: PhotoNames, found: Mapping[str, int], means: Means) -> PhotoNames:
        rows = {row.id: row for row in self.catalog.faces.rows(found.values())}
        faces = tuple(NamedFace(rows[face_id], (name,), MetadataKind.SIDECAR, means) for name, face_id in found.items())
        return PhotoNames(photo.photo_id, faces, tuple(name for name in photo.others if name not in found))


@dataclass(frozen=True, slots=True)
class _Free:
    """Faces of a photo; row i of each belongs together."""

    ids: Ints
    embeddings: Floats
    tiers: Sequence[Tier]
    day: int


def _nearest(gallery: Gallery, free: _Free, person_id: int | None) -> int | None:
    """Return the face that is somebody who is in the photo, where that is clear: it is near enough, nearer to nobody
    else, and no other face there is nearly as near."""
    found = []
    for face_id, embedding, tier in zip(free.ids, free.embeddings, free.tiers, strict=True):
        first = next(iter(gallery.rank(embedding, 1, tier, day=free.day)), None)
        if first is not None and first.person_id == person_id and first.is_within:
            found.append((first.distance, int(face_id), first.margin))
    found.sort()
    is_clear = len(found) == 1 or (len(found) > 1 and found[1][0] - found[0][0] >= found[0][2])
    return found[0][1] if is_clear else None


def _alike(photos: Mapping[int, _Free], most: float) -> list[tuple[int, int]]:
    """Return (photo, face) of those photos of one face each whose faces are one person's: most of them are as near to
    one of them as `most`, a distance."""
    if len(photos) < 2:
        return []
    vectors = np.concatenate([free.embeddings for free in photos.values()])
    is_near = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * vectors @ vectors.T)) <= most
    middle = int(is_near.sum(axis=1).argmax())
    together = np.flatnonzero(is_near[middle])
    if len(together) < 2 or 2 * len(together) <= len(photos):
        return []
    ids = list(photos)
    return [(ids[i], int(photos[ids[i]].ids[0])) for i in together]


def _trouble(
    photo: PhotoNames, named: NamedFace, people: Mapping[int, str], rejected: Collection[int]
) -> Trouble | None:
    """Return why a name does not stand in the catalog; None: it does, or it was not looked at yet."""
    row = named.face
    is_said = row.source == USER and name_key(people.get(row.person_id or 0, "")) in named.keys
    if is_said:
        return None
    if row.source == USER or row.mark in (Mark.NOBODY, Mark.NOT_A_FACE):
        return Trouble.USER
    if any(name_key(people.get(person_id, "")) in named.keys for person_id in rejected):
        return Trouble.USER
    return photo.trouble_of(named)


def _batches(photos: Sequence[PhotoNames]) -> Iterator[Sequence[PhotoNames]]:
    for start in range(0, len(photos), TAKEN_TOGETHER):
        yield photos[start : start + TAKEN_TOGETHER]
