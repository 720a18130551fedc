"""Applies matches and clusters to people, keeps what users decided, and journals every change."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from facewatch.catalog import NOBODY, USER, Catalog, FaceTable
from facewatch.errors import CatalogError
from facewatch.matching import Evidence, Gallery, MatchSettings, match_photo
from facewatch.matching.nearness import distances_within
from facewatch.matching.search import Block, Vectors
from facewatch.people.births import not_born_yet
from facewatch.people.kept_vectors import all_faces
from facewatch.people.sketching import Sketching, faces_of_members
from facewatch.types import EngineInfo, Normalisation, Tier

if TYPE_CHECKING:
    from facewatch.clustering import Clusterer
    from facewatch.people.cluster_plan import Group

_ATTEMPTS = 5
_BATCH_PHOTOS = 100
"""Photos of the pool matched in one transaction: some 100 ms, so that a name given meanwhile need not wait."""
_MOST_ROUNDS = 20
"""Rounds of grouping and matching; two or three are usual."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Two named people who look alike."""

    person_id: int
    name: str
    other_id: int
    other_name: str
    distance: float
    """Between their nearest faces."""
    stricter: float
    """How much farther than usual the other must be for a face to be given to one of them."""
    evidence: Evidence | None
    """How alike the middles of their faces are, and what they have with strangers; None: nobody asks for that."""


@dataclass(frozen=True, slots=True)
class Reclustered:
    """What grouping the pool did, or would do."""

    n_pool: int
    """Faces of the pool before."""
    n_matched: int
    """Faces of the pool that a known person now explains."""
    n_new_people: int
    n_joined_people: int
    """Machine-made people that turned out to be one with another."""
    n_grouped: int
    """Faces of the pool that now belong to a group."""


class FaceEngine(Protocol):
    """The engine by whose embeddings faces are compared, as the catalog knows it."""

    @property
    def id(self) -> int: ...

    @property
    def info(self) -> EngineInfo: ...

    @property
    def normalisation(self) -> Normalisation | None:
        """How similarities are normalised by strangers; None: they are taken as they come."""
        ...


@dataclass(frozen=True, slots=True)
class FixedEngine:
    """A `FaceEngine` that is known."""

    id: int
    info: EngineInfo
    normalisation: Normalisation | None = None


class Identities:
    """Who is who, according to one engine's embeddings and to what users decided."""

    def __init__(
        self,
        catalog: Catalog,
        engine: FaceEngine,
        settings: MatchSettings | None = None,
        vectors_of: Callable[[int], Vectors | None] = lambda engine_id: None,
    ) -> None:
        """`vectors_of` returns those of all faces as an engine sees them; None: they are read from the catalog."""
        self._catalog = catalog
        self._vectors_of = vectors_of
        self._engine = engine
        self.settings = settings or MatchSettings()
        self._actor = "recluster"
        self._run_id: int | None = None
        self._gallery: Gallery | None = None
        self._version = -1

    @property
    def run_id(self) -> int:
        """The run whose work this is; 0: it is a user's."""
        return self._run_id or 0

    def start_run(self, kind: str, run_id: int) -> None:
        """What follows is the work of this run, not of a user."""
        self._actor, self._run_id = kind, run_id

    @property
    def is_in_run(self) -> bool:
        """Whether what happens is the work of a run that is on record."""
        return self._run_id is not None

    # --- matching ---

    def gallery(self) -> Gallery:
        """Return the gallery as the catalog has it, loaded again when another process has written."""
        version = self._catalog.version()
        if self._gallery is None or version != self._version:
            self._gallery, self._version = self._filled(self._load_known()), version
            self._gallery.settle()
        return self._gallery

    def gallery_for_few(self) -> Gallery:
        """Return the same for a few questions, while the catalog stays as it is; it need not be kept."""
        if self._gallery is not None and self._catalog.version() == self._version:
            return self._gallery
        gallery = self._sketching().gallery(self.settings)
        if gallery is None:
            return self._filled(self._load_known())
        gallery.set_named(self._catalog.people.names())
        return gallery

    def keep_sketches(self) -> None:
        """Keep what `gallery_for_few` reads instead of all faces, as far as it is not there."""
        if self._catalog.engines.in_use_id() == self._engine.id:
            self._sketching().keep_up()

    def _sketching(self) -> Sketching:
        return Sketching(self._catalog, self._engine.id, self._engine.info)

    def _load_known(self) -> FaceTable:
        """Return the faces that belong to somebody, perhaps with others."""
        engine_id, n_dims = self._engine.id, self._engine.info.n_dims
        vectors = self._vectors_of(engine_id)
        if vectors is None:
            return self._catalog.faces.load(engine_id, n_dims=n_dims, is_assigned=True, with_references=True)
        return all_faces(self._catalog, engine_id, n_dims, vectors, with_references=True)

    def _filled(self, known: FaceTable) -> Gallery:
        """Return a gallery of faces that belong to somebody."""
        gallery = Gallery(self._engine.info.n_dims, self._engine.info.thresholds, self.settings)
        fill_gallery(gallery, known)
        gallery.set_named(self._catalog.people.names())
        return gallery

    def renew(self, people: Collection[int]) -> None:
        """These people are not what they were, by a decision in this process."""
        if self._gallery is None or not people:
            return
        table = self._faces_of(people)
        for person_id in people:
            put_faces(self._gallery, person_id, table.take(table.people == person_id))
        self._gallery.set_named(self._catalog.people.names())

    def look_alikes(self) -> list[Alike]:
        """Return the pairs of named people who look alike, the most alike first.

        Where all faces of a library are alike, those who are no more alike than strangers there are left out.
        """
        names = self._catalog.people.names()
        return [
            Alike(
                person_id=pair.person_id,
                name=names[pair.person_id],
                other_id=pair.other_id,
                other_name=names[pair.other_id],
                distance=pair.distance,
                stricter=pair.stricter,
                evidence=evidence,
            )
            for pair, evidence in self.gallery().look_alikes_beside_strangers(self._engine.normalisation)
        ]

    def forget_gallery(self) -> None:
        """Load the gallery again when it is needed next."""
        self._gallery = None

    def match_photo(self, photo_id: int) -> int:
        """Assign the new faces of a photo or keep their best guess; inside the caller's transaction.

        Returns how many were assigned.
        """
        gallery = self.gallery()
        table = self._catalog.faces.load(self._engine.id, n_dims=self._engine.info.n_dims, photo_id=photo_id)
        return self._match_rows(gallery, table)

    def _match_rows(self, gallery: Gallery, table: FaceTable) -> int:
        """Match the faces of one photo that belong to nobody."""
        free = table.take(table.people == NOBODY)
        present = self._cannot_be_in(int(table.photos[0])) if len(free) else set()
        tiers = [Tier(tier) for tier in free.tiers]
        # As the catalog has them now: faces of an edited photo have inherited theirs a moment ago.
        rejections = self._catalog.rejections.of_faces(free.ids)
        barred = [present | rejections.get(int(face_id), set()) for face_id in free.ids]
        matches = match_photo(gallery, free.embeddings, tiers, barred, day=free.day)
        now, assignments = self._catalog.now(), self._catalog.assignments
        n_assigned = 0
        for face_id, embedding, weight, tier, match in zip(
            free.ids, free.embeddings, free.weights, tiers, matches, strict=True
        ):
            if match is None:
                continue
            if match.is_accepted:
                assignments.assign(int(face_id), match, source="auto", run_id=self._run_id, now=now)
                gallery.add(match.person_id, embedding, float(weight), face_id=int(face_id), day=free.day)
                n_assigned += 1
            elif tier is not Tier.SHOW:
                assignments.suggest(int(face_id), match, now)
        return n_assigned

    def _cannot_be_in(self, photo_id: int) -> set[int]:
        """Return who is in a photo already, and who was not born yet."""
        return self._catalog.assignments.people_in(photo_id).union(not_born_yet(self._catalog, photo_id))

    def rematch(self, people: Collection[int], faces: Collection[int], parent_id: int | None) -> set[int]:
        """Match the pool again after a decision: these faces, and those that look like these people.

        What comes of it is on record as a part of the decision, a few photos at a time, so that nobody has to wait for
        it to write. Returns who gained faces.
        """
        meant = {*faces, *self._free_like(people)}
        table = self._catalog.faces.load(self._engine.id, n_dims=self._engine.info.n_dims, faces=meant)
        photos = np.unique(table.photos[(table.people == NOBODY) & (table.tiers != Tier.SHOW.value)])
        gained: set[int] = set()
        for start in range(0, len(photos), _BATCH_PHOTOS):
            catalog = self._catalog
            self.gallery()  # loaded before the transaction, not in it
            with (
                catalog.write(),
                catalog.journal.recording(USER, "look again", parent_id=parent_id, now=catalog.now()) as record,
            ):
                assigned = sum(self.match_photo(int(photo_id)) for photo_id in photos[start : start + _BATCH_PHOTOS])
                record.details["n_faces"] = assigned
            gained |= {int(c.after["person_id"]) for c in record.changes if c.after and "person_id" in c.after}
        return gained

    def _free_like(self, people: Collection[int]) -> list[int]:
        """Return faces that belong to nobody and may be one of these people, also some that are not in the library;
        needs only what is known of those people."""
        known = self._only(people)
        assigned = np.array(self._catalog.assignments.all(), np.int64) if len(known) else np.zeros(0, np.int64)
        others = self._vectors().besides(assigned) if len(known) else ()
        return [int(face_id) for block in others for face_id in block.ids[known.is_near(block.vectors)]]

    def _only(self, people: Collection[int]) -> Gallery:
        if self._gallery is not None:
            return self._gallery.only(people)
        return self._filled(self._faces_of(people))

    def _faces_of(self, people: Collection[int]) -> FaceTable:
        engine_id, n_dims = self._engine.id, self._engine.info.n_dims
        vectors = self._vectors_of(engine_id)
        return all_faces(self._catalog, engine_id, n_dims, vectors, people=people, with_references=True)

    def _vectors(self) -> Vectors:
        """Return those of all faces, or of those that belong to nobody."""
        if (vectors := self._vectors_of(self._engine.id)) is not None:
            return vectors
        pool = self._catalog.faces.load(self._engine.id, n_dims=self._engine.info.n_dims, people=[NOBODY])
        return Vectors([Block(pool.ids, pool.embeddings)])

    def rematch_pool(self) -> int:
        """Match the pool again until nobody in it is recognised; returns how many faces were assigned."""
        n_assigned = 0
        while found := self._rematch_pool_once():
            n_assigned += found
        return n_assigned

    def _rematch_pool_once(self) -> int:
        table = self._load()
        gallery = self.gallery()
        free = (table.people == NOBODY) & (table.tiers != Tier.SHOW.value)
        if not len(gallery) or not free.any():
            return 0
        rows = np.flatnonzero(free)
        photos = np.unique(table.photos[rows[gallery.is_near(table.embeddings[rows])]])
        return self.rematch_photos(photos.tolist())

    def rematch_photos(self, photos: Iterable[int]) -> int:
        """Match again the faces of these photos that belong to nobody; returns how many were assigned."""
        n_assigned, wanted = 0, sorted(photos)
        for start in range(0, len(wanted), _BATCH_PHOTOS):
            self.gallery()  # loaded before the transaction, not in it
            with self._catalog.write():
                n_assigned += sum(self.match_photo(photo_id) for photo_id in wanted[start : start + _BATCH_PHOTOS])
        return n_assigned

    # --- another engine ---

    def take_over(self, before: str) -> None:
        """Measure again how near every assigned face is to its person: the distances on record are those of the engine
        `before`, and mean nothing beside this one's."""
        self.forget_gallery()
        table = self._load()
        table = table.take(table.people != NOBODY)
        assigned = self._catalog.assignments.all()
        nearest, centroid = (far.tolist() for far in distances_within(table.people, table.embeddings))
        distances = {
            face_id: (None if math.isnan(near) else near, far)
            for face_id, near, far in zip(table.ids.tolist(), nearest, centroid, strict=True)
        }
        self._catalog.assignments.renew_distances(
            [(face_id, *distances.get(face_id, (None, None))) for face_id in assigned], before
        )

    def _load(self) -> FaceTable:
        return self._catalog.faces.load(self._engine.id, n_dims=self._engine.info.n_dims)

    # --- grouping ---

    def recluster(self, clusterer: Callable[[], Clusterer], *, is_dry_run: bool = False) -> Reclustered:
        """Group the pool together with the people without a name, who may grow; machine-made ones may join another.

        They lose no face but one of two in a photo, when they join who is in that photo, too. Named and hidden people
        are not matched. A face that finds its person changes how that person
        looks, which may explain another face: it goes on until nothing changes any more, so that doing it again
        would change nothing. A dry run returns the first step.
        """
        n_pool, newest = self._catalog.faces.counts()["pool"], self._catalog.people.newest()
        if is_dry_run:
            plan = self._plan(clusterer)[1]
            return _report(n_pool, 0, plan, sum(group.person_id is None for group in plan))
        n_matched = self.rematch_pool()
        groups: list[Group] = []
        for _ in range(_MOST_ROUNDS):
            plan = self._group_once(clusterer)
            found = self.rematch_pool()
            groups += plan
            n_matched += found
            if not plan and not found:
                break
        # Somebody new of one round may have become part of another in the next.
        return _report(n_pool, n_matched, groups, self._catalog.people.n_since(newest))

    def _group_once(self, clusterer: Callable[[], Clusterer]) -> list[Group]:
        """Group and apply it. The thinking happens on a snapshot, outside the write lock; if somebody wrote meanwhile,
        it starts over."""
        for _ in range(_ATTEMPTS):
            version = self._catalog.version()
            table, plan = self._plan(clusterer)
            with self._catalog.write():
                if self._catalog.version() == version:
                    self._apply_groups(table, plan)
                    self.forget_gallery()
                    return plan
        raise CatalogError("the catalog changed again and again while grouping; try again later")

    def _plan(self, clusterer: Callable[[], Clusterer]) -> tuple[FaceTable, list[Group]]:
        table = self._load()
        # Matching alone knows which photos are too old for somebody.
        unnamed = [
            person
            for person in self._catalog.people.all()
            if person.name is None and not person.is_hidden and person.born is None
        ]
        edited = {person.id for person in unnamed if person.is_user_edited}
        from facewatch.people.cluster_plan import plan_groups

        plan = plan_groups(
            table,
            self._catalog.assignments.photos_of([person.id for person in unnamed]),
            clusterer,
            self._catalog.rejections.all(),
            self._catalog.rejections.cannot_links(),
            staying=edited,
            ceiling=self._engine.info.thresholds.cluster,
        )
        machine_made = {person.id for person in unnamed} - edited
        plan = [self._uncontested(table, g, machine_made) if g.person_id in edited else g for g in plan]
        return table, [group for group in plan if group.rows or group.joining]

    def _uncontested(self, table: FaceTable, group: Group, machine_made: Collection[int]) -> Group:
        """Return the group without the faces that may as well be somebody else whom a user knows: what was split would
        else draw all that lies between the parts."""
        gallery, own = self.gallery(), {group.person_id, *group.joining}

        def is_contested(row: int) -> bool:
            one = table.take(np.array([row]))
            ranked = gallery.rank(one.embeddings[0], self.settings.shortlist, Tier(one.tiers[0]), day=one.day)
            distance = min((near.distance for near in ranked if near.person_id in own), default=math.inf)
            rivals = (near for near in ranked if near.person_id not in own and near.person_id not in machine_made)
            return any(near.is_within and near.distance < distance + near.margin for near in rivals)

        return replace(group, rows=tuple(row for row in group.rows if not is_contested(row)))

    def _apply_groups(self, table: FaceTable, plan: Sequence[Group]) -> None:
        from facewatch.people.cluster_plan import matches_within

        catalog, now = self._catalog, self._catalog.now()
        undo: dict[str, list[object]] = {"assigned": [], "joined": [], "released": [], "added": []}
        for group in plan:
            person_id = group.person_id or catalog.people.add(now)
            if group.person_id is None:
                undo["added"].append(person_id)
            for other in group.joining:
                undo["joined"].append([other, person_id, catalog.assignments.reassign_all(other, person_id)])
                catalog.people.retire(other, person_id)
            leaving = [int(table.ids[row]) for row in group.leaving]
            catalog.assignments.release(leaving)
            undo["released"] += leaving
            for row, match in matches_within(table, group, person_id):
                catalog.assignments.assign(int(table.ids[row]), match, source="cluster", run_id=self._run_id, now=now)
                undo["assigned"].append(int(table.ids[row]))
        if plan:
            summary = {"new": len(undo["added"]), "joined": len(undo["joined"]), "faces": len(undo["assigned"])}
            catalog.journal.add(self._actor, "recluster", summary, undo, run_id=self._run_id, now=now)


def _report(n_pool: int, n_matched: int, groups: Sequence[Group], n_new_people: int) -> Reclustered:
    return Reclustered(
        n_pool=n_pool,
        n_matched=n_matched,
        n_new_people=n_new_people,
        n_joined_people=sum(len(group.joining) for group in groups),
        n_grouped=sum(len(group.rows) for group in groups),
    )


def fill_gallery(gallery: Gallery, faces: FaceTable) -> None:
    """Add those faces that belong to somebody."""
    gallery.fill(faces.people, faces_of_members(faces), np.flatnonzero(faces.people != NOBODY))


def put_faces(gallery: Gallery, person_id: int, faces: FaceTable) -> None:
    """Replace all that a gallery knows of one person by these faces."""
    gallery.put(person_id, faces_of_members(faces))
