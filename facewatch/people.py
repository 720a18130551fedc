"""Identities: matches and clusters are applied here, what users decided is kept here, every change is journalled."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewatch.assign import Gallery, settle_photo
from facewatch.catalog import NOBODY, Catalog, FaceTable, Person
from facewatch.clustering import Clusterer
from facewatch.errors import CatalogError, NotKnownError
from facewatch.types import EngineInfo, Match, Tier

log = logging.getLogger(__name__)

MAX_NAME_LENGTH = 120
_LABEL = re.compile(r"person\s+(\d+)", re.IGNORECASE)
_ATTEMPTS = 5
_BATCH_PHOTOS = 100
"""Photos of the pool settled in one transaction: some 100 ms, so that a name given meanwhile need not wait."""
_BLOCK_FACES = 1024
"""Faces compared with all of their person at a time."""
_MOST_ROUNDS = 20
"""Rounds of grouping and matching; two or three are usual."""


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


@dataclass(frozen=True, slots=True)
class Renamed:
    person: Person
    old_label: str
    merged: Person | None
    """The person that is now part of it."""


class Decisions:
    """What users decide about people; needs no engine, because people hang on faces and not on embeddings."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def rename(self, who: str, new: str, *, may_merge: bool = False) -> Renamed:
        """Name a person; naming it like another one merges the two when `may_merge`.

        Raises:
            NotKnownError: nobody or several people fit `who`, or the name is taken and `may_merge` is False.
        """
        name = clean_name(new)
        with self._catalog.write():
            people = self._catalog.people.all()
            person = find_person(self._catalog, who)
            taken = next((p for p in people if p.name and p.name.casefold() == name.casefold()), None)
            if taken and taken.id != person.id:
                if not may_merge:
                    raise NotKnownError(
                        f"{taken.name} is already the name of person {taken.id} ({taken.n_photos} photos); if they are "
                        f"the same person: facewatch rename {_quoted(who)} {_quoted(taken.name or '')} --merge"
                    )
                self._merge(person, into=taken)
                return Renamed(self._alive(taken.id), person.label, merged=person)
            if may_merge and taken is None:
                raise NotKnownError(
                    f"nobody is called {name!r}{_near(name.casefold(), people)}; to give it: no --merge"
                )
            self._catalog.people.rename(person.id, name)
            self._journal(
                "rename", {"person": person.id, "name": name}, {"name": person.name, "touched": person.is_touched}
            )
            return Renamed(self._alive(person.id), person.label, merged=None)

    def _merge(self, person: Person, *, into: Person) -> None:
        moved = self._catalog.faces.reassign_all(person.id, into.id)
        self._catalog.people.retire(person.id, into.id)
        self._catalog.people.touch(into.id)
        self._journal(
            "merge",
            {"person": person.id, "into": into.id},
            {"faces": moved, "name": person.name, "touched": [person.is_touched, into.is_touched]},
        )

    def _alive(self, person_id: int) -> Person:
        person = self._catalog.people.one(person_id)
        assert person is not None
        return person

    def _journal(self, action: str, details: Mapping[str, object], undo: Mapping[str, object]) -> None:
        self._catalog.people.journal("user", action, details, undo, run_id=None, now=self._catalog.now())


class Identities:
    """Who is who, according to one engine's embeddings and to what users decided."""

    def __init__(
        self,
        catalog: Catalog,
        engine_id: int,
        info: EngineInfo,
        *,
        shortlist: int = 5,
        strictness: float = 0.0,
    ) -> None:
        self._catalog = catalog
        self._engine_id = engine_id
        self._info = info
        self._shortlist = shortlist
        self._strictness = strictness
        self._actor = "user"
        self._run_id: int | None = None
        self._gallery: Gallery | None = None
        self._rejections: dict[int, set[int]] = {}
        self._version = -1

    def start_run(self, kind: str, run_id: int) -> None:
        """What follows is the work of this run, not of a user."""
        self._actor, self._run_id = kind, run_id

    # --- matching ---

    def gallery(self) -> Gallery:
        """Return the gallery as the catalog has it, loaded again when another process has written."""
        version = self._catalog.version()
        if self._gallery is None or version != self._version:
            table = self._load()
            known = table.people != NOBODY
            gallery = Gallery(
                self._info.n_dims, self._info.thresholds, shortlist=self._shortlist, strictness=self._strictness
            )
            gallery.fill(table.people[known], table.embeddings[known], table.weights[known])
            self._gallery, self._version = gallery, version
            self._rejections = self._catalog.faces.rejections()
        return self._gallery

    def forget_gallery(self) -> None:
        """Load the gallery again when it is needed next."""
        self._gallery = None

    def settle(self, photo_id: int) -> int:
        """Assign the new faces of a photo or keep their best guess; inside the caller's transaction.

        Returns how many were assigned.
        """
        gallery = self.gallery()
        table = self._catalog.faces.load(self._engine_id, n_dims=self._info.n_dims, photo_id=photo_id)
        return self._settle_rows(gallery, table)

    def _settle_rows(self, gallery: Gallery, table: FaceTable) -> int:
        """Settle the faces of one photo that belong to nobody."""
        free = table.take(table.people == NOBODY)
        present = self._catalog.faces.people_in(int(table.photos[0])) if len(free) else set()
        tiers = [Tier(tier) for tier in free.tiers]
        barred = [present | self._rejections.get(int(face_id), set()) for face_id in free.ids]
        matches = settle_photo(gallery, free.embeddings, tiers, barred)
        now, faces = self._catalog.now(), self._catalog.faces
        n_assigned = 0
        for face_id, embedding, weight, tier, match in zip(
            free.ids, free.embeddings, free.weights, tiers, matches, strict=True
        ):
            if match is None:
                continue
            if match.is_accepted:
                faces.assign(int(face_id), match, source="auto", run_id=self._run_id, now=now)
                gallery.add(match.person_id, embedding, float(weight))
                n_assigned += 1
            elif tier is not Tier.SHOW:
                faces.suggest(int(face_id), match, now)
        return n_assigned

    def settle_pool(self) -> int:
        """Look at the pool again until nobody in it is recognised; returns how many faces were assigned."""
        n_assigned = 0
        while found := self._settle_pool_once():
            n_assigned += found
        return n_assigned

    def _settle_pool_once(self) -> int:
        table = self._load()
        gallery = self.gallery()
        free = (table.people == NOBODY) & (table.tiers != Tier.SHOW.value)
        if not len(gallery) or not free.any():
            return 0
        rows = np.flatnonzero(free)
        photos = np.unique(table.photos[rows[gallery.is_near(table.embeddings[rows])]])
        n_assigned = 0
        for start in range(0, len(photos), _BATCH_PHOTOS):
            with self._catalog.write():
                n_assigned += sum(self.settle(int(photo_id)) for photo_id in photos[start : start + _BATCH_PHOTOS])
        return n_assigned

    # --- another engine ---

    def take_over(self, before: str) -> None:
        """Say anew how near every assigned face is to its person: the distances on record are those of the engine
        `before`, and mean nothing beside this one's."""
        self.forget_gallery()
        table = self._load()
        assigned = self._catalog.faces.assigned()
        distances = {face_id: near for face_id, *near in _distances_within(table)}
        self._catalog.faces.renew_distances(
            [(face_id, *distances.get(face_id, (None, None))) for face_id in assigned], before
        )

    def _load(self) -> FaceTable:
        return self._catalog.faces.load(self._engine_id, n_dims=self._info.n_dims)

    # --- grouping ---

    def recluster(self, clusterer: Clusterer, *, is_dry_run: bool = False) -> Reclustered:
        """Group the pool together with the machine-made people, which may grow or join but never lose a face.

        Named, hidden and touched people are not looked at. A face that finds its person changes how that person
        looks, which may explain another face: it goes on until nothing changes any more, so that doing it again
        would change nothing. A dry run tells the first step.
        """
        n_pool = self._n_pool()
        if is_dry_run:
            return _report(n_pool, 0, self._plan(clusterer)[1])
        n_matched, groups = self.settle_pool(), list[_Group]()
        for _ in range(_MOST_ROUNDS):
            plan = self._group_once(clusterer)
            found = self.settle_pool()
            groups += plan
            n_matched += found
            if not plan and not found:
                break
        return _report(n_pool, n_matched, groups)

    def _group_once(self, clusterer: Clusterer) -> list[_Group]:
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

    def _plan(self, clusterer: Clusterer) -> tuple[FaceTable, list[_Group]]:
        table = self._load()
        machine_made = {person.id for person in self._catalog.people.all() if person.is_machine_made}
        photos_of = self._catalog.faces.photos_of(machine_made)
        return table, _plan_groups(table, photos_of, clusterer, self._catalog.faces.rejections())

    def _n_pool(self) -> int:
        return self._catalog.faces.counts()["pool"]

    def _apply_groups(self, table: FaceTable, plan: Sequence[_Group]) -> None:
        catalog, now = self._catalog, self._catalog.now()
        undo: dict[str, list[object]] = {"assigned": [], "joined": [], "added": []}
        for group in plan:
            person_id = group.person_id or catalog.people.add(now)
            if group.person_id is None:
                undo["added"].append(person_id)
            for other in group.joining:
                undo["joined"].append([other, person_id, catalog.faces.reassign_all(other, person_id)])
                catalog.people.retire(other, person_id)
            for row, match in _matches_within(table, group, person_id):
                catalog.faces.assign(int(table.ids[row]), match, source="cluster", run_id=self._run_id, now=now)
                undo["assigned"].append(int(table.ids[row]))
        if plan:
            summary = {"new": len(undo["added"]), "joined": len(undo["joined"]), "faces": len(undo["assigned"])}
            catalog.people.journal(self._actor, "recluster", summary, undo, run_id=self._run_id, now=now)


def find_person(catalog: Catalog, who: str) -> Person:
    """Return the person with this id, name, or unique beginning of a name; a merged one is found where it went.

    Raises:
        NotKnownError: nobody fits, or several do; the message lists them.
    """
    wanted = unicodedata.normalize("NFC", who).strip()
    number = wanted if wanted.isdecimal() else _number_of_label(wanted)
    if number is not None and (person := _by_id(catalog, int(number))) is not None:
        return person
    people = catalog.people.all()
    key = " ".join(wanted.casefold().split())
    exact = [p for p in people if p.name is not None and p.name.casefold() == key]
    fitting = exact or [p for p in people if p.name is not None and key and p.name.casefold().startswith(key)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = ", ".join(f"{p.name} (id {p.id})" for p in fitting[:10])
        raise NotKnownError(f"{who!r} fits {len(fitting)} people: {listed}; write more of the name, or the id")
    unnamed = [p for p in people if p.name is None and key and p.label.casefold().startswith(key)]
    if unnamed:
        listed = ", ".join(p.label for p in sorted(unnamed, key=lambda p: p.id)[:10])
        raise NotKnownError(f"{who!r} is the beginning of {len(unnamed)} people: {listed}; write the whole number")
    raise NotKnownError(f"nobody is called {who!r}{_near(key, people)}; `facewatch people` lists everybody")


def _number_of_label(text: str) -> str | None:
    """Return the id in "Person 0012" or "Person 12"; "Person 012" is only the beginning of labels."""
    label = _LABEL.fullmatch(text)
    is_whole = label is not None and label[1] in (str(int(label[1])), f"{int(label[1]):04d}")
    return label[1] if label and is_whole else None


def _by_id(catalog: Catalog, person_id: int) -> Person | None:
    if person_id >= 2**63:
        return None
    while (into := catalog.people.merged_into(person_id)) is not None:
        person_id = into
    return catalog.people.one(person_id)


def _near(key: str, people: Iterable[Person]) -> str:
    import difflib

    names = {p.name.casefold(): p.name for p in people if p.name}
    near = difflib.get_close_matches(key, names, 3, 0.6)
    return f"; did you mean {', '.join(names[name] for name in near)}?" if near else ""


def clean_name(name: str) -> str:
    """Return the name in Unicode NFC with single spaces.

    Raises:
        NotKnownError: it is empty, too long, holds control characters, or would be taken for a person's id.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not cleaned:
        raise NotKnownError("the new name is empty; write one, for example: facewatch rename 12 Anna")
    if len(cleaned) > MAX_NAME_LENGTH:
        raise NotKnownError(f"the new name has {len(cleaned)} characters; at most {MAX_NAME_LENGTH} are possible")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in cleaned):
        raise NotKnownError(f"the new name {name!r} holds control characters; leave them out")
    if cleaned.isdecimal() or _LABEL.fullmatch(cleaned):
        raise NotKnownError(f"{cleaned!r} would be taken for the id of a person; choose another name")
    return cleaned


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


# --- how clusters become people: values in, values out ---


@dataclass(frozen=True, slots=True)
class _Group:
    """What one cluster does to people."""

    person_id: int | None
    """The machine-made person that grows; None: a new one."""
    joining: tuple[int, ...]
    """Machine-made people that become part of it."""
    rows: tuple[int, ...]
    """Rows of the table: faces of the pool that join it."""


def _plan_groups(
    table: FaceTable,
    photos_of: Mapping[int, set[int]],
    clusterer: Clusterer,
    rejections: Mapping[int, Collection[int]],
) -> list[_Group]:
    """Return what to do with the pool, groups in order of their oldest face.

    Args:
        photos_of: the photos of each machine-made person, also by faces that are not in the table.
    """
    is_free = table.people == NOBODY
    rows = np.flatnonzero(table.is_founding & (is_free | np.isin(table.people, list(photos_of))))
    labels = clusterer.fit_predict(table.embeddings[rows], photos=table.photos[rows], ids=table.ids[rows])
    homes = _homes(table.people[rows], labels)
    groups = []
    for label in sorted(set(labels.tolist()) - {-1}, key=lambda label: int(rows[labels == label][0])):
        members = rows[labels == label]
        existing = [p for p, home in homes.items() if home == label]
        person_id, joining = _join(existing, photos_of, _rejected_by(existing, table, rejections), table)
        own = {p for p in (person_id, *joining) if p is not None}
        taken = set().union(*(photos_of[p] for p in own))
        free = [int(r) for r in members if is_free[r] and own.isdisjoint(rejections.get(int(table.ids[r]), ()))]
        new = _one_a_photo(free, table.photos, taken)
        if joining or (new and person_id is not None) or len(new) > 1:
            groups.append(_Group(person_id, joining, tuple(new)))
    return groups


def _homes(people: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[int, int]:
    """Return, for each person among the clustered faces, the cluster that holds most of it."""
    homes = {}
    for person_id in np.unique(people[people != NOBODY]):
        own = labels[(people == person_id) & (labels >= 0)]
        if len(own):
            found, counts = np.unique(own, return_counts=True)
            homes[int(person_id)] = int(found[counts.argmax()])
    return homes


def _rejected_by(
    people: Sequence[int], table: FaceTable, rejections: Mapping[int, Collection[int]]
) -> dict[int, set[int]]:
    """Return whom the faces of each person are not, as users said."""
    return {p: set().union(*(rejections.get(int(face), ()) for face in table.ids[table.people == p])) for p in people}


def _join(
    people: Sequence[int],
    photos_of: Mapping[int, set[int]],
    rejected_by: Mapping[int, set[int]],
    table: FaceTable,
) -> tuple[int | None, tuple[int, ...]]:
    """Return who stays and who joins it: the largest stays; nobody joins who was in one photo with it, or was said to
    be somebody else."""
    ordered = sorted(people, key=lambda p: (-int((table.people == p).sum()), p))
    if not ordered:
        return None, ()
    stays, seen = ordered[0], set(photos_of[ordered[0]])
    joining: list[int] = []
    for other in ordered[1:]:
        is_other = any(other in rejected_by[p] or p in rejected_by[other] for p in (stays, *joining))
        if not seen & photos_of[other] and not is_other:
            joining.append(other)
            seen |= photos_of[other]
    return stays, tuple(joining)


def _one_a_photo(rows: Iterable[int], photos: NDArray[np.int64], taken: set[int]) -> list[int]:
    """Return the rows whose photo is not taken yet, each photo once."""
    chosen, seen = [], set(taken)
    for row in rows:
        if (photo := int(photos[row])) not in seen:
            chosen.append(row)
            seen.add(photo)
    return chosen


def _matches_within(table: FaceTable, group: _Group, person_id: int) -> Iterable[tuple[int, Match]]:
    """Yield each joining row with its distances to the rest of the group."""
    old = np.flatnonzero(np.isin(table.people, [p for p in (group.person_id, *group.joining) if p is not None]))
    members = np.concatenate([old, np.array(group.rows, np.int64)])
    vectors = table.embeddings[members]
    centroid = vectors.mean(0) / np.linalg.norm(vectors.mean(0))
    for row in group.rows:
        own = table.embeddings[row]
        others = vectors[members != row]
        yield (
            row,
            Match(
                person_id=person_id,
                distance=_nearest(own, others),
                centroid_distance=_nearest(own, centroid[None]),
                runner_up_id=None,
                runner_up_distance=None,
                rule="grouped with faces of nobody else",
                is_accepted=True,
            ),
        )


def _distances_within(table: FaceTable) -> Iterator[tuple[int, float | None, float | None]]:
    """Yield each assigned face with its distance to the nearest other face of its person, and to the centroid."""
    if not len(table):
        return
    order = np.argsort(table.people, kind="stable")
    people, starts = np.unique(table.people[order], return_index=True)
    for person_id, rows in zip(people, np.split(order, starts[1:]), strict=True):
        if person_id == NOBODY:
            continue
        vectors = table.embeddings[rows]
        total = vectors.sum(0)
        centroid = total / max(float(np.linalg.norm(total)), 1e-9)
        for start in range(0, len(rows), _BLOCK_FACES):
            cosines = vectors[start : start + _BLOCK_FACES] @ vectors.T
            own = np.arange(len(cosines))
            cosines[own, start + own] = -1.0
            for i, nearest in zip(start + own, _distance(cosines.max(1)), strict=True):
                to_centroid = _nearest(vectors[i], centroid[None])
                yield int(table.ids[rows[i]]), float(nearest) if len(rows) > 1 else None, to_centroid


def _distance(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    distances: NDArray[np.float32] = np.sqrt(np.maximum(0, 2 - 2 * cosines))
    return distances


def _nearest(vector: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    return float(_distance(others @ vector).min())


def _report(n_pool: int, n_matched: int, groups: Sequence[_Group]) -> Reclustered:
    return Reclustered(
        n_pool=n_pool,
        n_matched=n_matched,
        n_new_people=sum(group.person_id is None for group in groups),
        n_joined_people=sum(len(group.joining) for group in groups),
        n_grouped=sum(len(group.rows) for group in groups),
    )
