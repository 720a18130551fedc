"""Checks of people and faces: findings with their remedies. Checking writes nothing; `fix_faces` does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facewatch import ids
from facewatch.catalog import RUNS, USER, Catalog, Change, FaceRow, FaceTable
from facewatch.catalog.integrity import AssignedFace
from facewatch.checks import MOST_LISTED, FaultKind, Finding, Fix, Severity, Words, assigned_of, named
from facewatch.clustering.twice import compare
from facewatch.ids import label_of
from facewatch.matching import Gallery, MatchSettings, distances, match_photo
from facewatch.matching.nearness import Nearness, nearness
from facewatch.people.births import not_born_yet
from facewatch.people.identities import fill_gallery
from facewatch.people.record import Decided
from facewatch.people.split import Loose, loose_faces
from facewatch.types import EngineInfo, Match, Thresholds, Tier


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is needed to compare faces: those of the engine in use that belong to somebody, and how it matches."""

    table: FaceTable
    info: EngineInfo
    settings: MatchSettings
    names: Mapping[int, str]
    """Of people."""

    @property
    def thresholds(self) -> Thresholds:
        return self.info.thresholds

    def gallery_of(self, faces: FaceTable) -> Gallery:
        """Return a gallery that knows these faces, and matches as runs do."""
        gallery = Gallery(self.info.n_dims, self.info.thresholds, self.settings)
        fill_gallery(gallery, faces)
        gallery.set_named(self.names)
        return gallery


# --- one person twice in a photo ---


def find_twice(catalog: Catalog, table: FaceTable, words: Words) -> list[Finding]:
    """Return a finding for every person that is in a photo of the library with several faces."""
    return [
        _twice(words, person_id, photo_id, _surest_first(catalog.faces.beside([photo_id], person_id), table))
        for person_id, photo_id in catalog.integrity.twice()
    ]


def _twice(words: Words, person_id: int, photo_id: int, rows: Sequence[FaceRow]) -> Finding:
    """`rows`: the surest first, those that no run assigned before all others."""
    assigned = [row for row in rows if row.source not in RUNS]
    doubtful = [row for row in rows[max(1, len(assigned)) :] if row.source in RUNS]
    stays = rows[: len(rows) - len(doubtful)]
    paths = words.paths([photo_id])
    start = f"{words.label(person_id)} is {_times(len(rows))} in {named(paths)}"
    if doubtful:
        why = "assigned by you" if assigned else "the surest"
        text = f"{start}: {_faces(stays)} {'stays' if len(stays) == 1 else 'stay'} ({why}), {_faces(doubtful)} would go"
    else:
        text = f"{start}, as you said: {_faces(rows)}"
    return Finding(
        id=f"twice:{person_id}:{photo_id}",
        kind=FaultKind.TWICE,
        severity=Severity.BROKEN if bool(doubtful) else Severity.REMARK,
        text=text,
        people=(person_id,),
        faces=tuple(row.id for row in rows),
        photos=paths,
        remedies=tuple(f"facewatch reject {ids.face(row.id)} {words.who(person_id)}" for row in doubtful or rows),
        fix=Fix(needs=assigned_of(stays), releases=assigned_of(doubtful)) if doubtful else None,
    )


def _surest_first(rows: Sequence[FaceRow], table: FaceTable) -> list[FaceRow]:
    """Return faces of one person in one photo: first those that no run assigned, then by how near they are to the
    person's faces elsewhere; where there are none, the better face first."""
    at = {int(face_id): row for row, face_id in enumerate(table.ids) if face_id in {r.id for r in rows}}
    elsewhere = table.embeddings[(table.people == rows[0].person_id) & (table.photos != rows[0].photo_id)]

    def doubt(row: FaceRow) -> tuple[bool, float, float, int]:
        here = at.get(row.id)
        far, poor = np.inf, 0.0
        if here is not None:
            poor = -float(table.qualities[here])
            if len(elsewhere):
                far = float(distances(elsewhere @ table.embeddings[here]).min())
        return (row.source in RUNS, far, poor, row.id)

    return sorted(rows, key=doubt)


# --- faces that are nearer to another person ---


def find_nearer(
    catalog: Catalog, comparison: Comparison, near: Nearness, alike: Collection[tuple[int, int]], words: Words
) -> list[Finding]:
    """Return a finding for every face that is nearer to another person than to its own: to the nearest face by the
    margin that matching asks for, and to the middle. One face in the wrong place makes others near to its person; the
    middle does not follow it.

    What a run assigned is matched again, with all such faces left out: exactly that is done when they are released. Who
    cannot be in the photo, or was said not to be the face, is nobody that it could be nearer to. Nor are people who
    look like one (`alike`, the lower id first): between them distances do not decide, and all faces of one would go.
    """
    gap = near.own - near.other
    rows = np.flatnonzero(np.isfinite(gap) & (gap > comparison.thresholds.margin))
    rows = rows[[_pair(near.people[row], near.other_people[row]) not in alike for row in rows]]
    rows = rows[[_is_nearer_to_the_middle(comparison.table, near, row) for row in rows.tolist()]]
    others = dict(zip(near.ids[rows].tolist(), near.other_people[rows].tolist(), strict=True))
    said = {int(near.ids[row]): (float(near.own[row]), float(near.other[row])) for row in rows}
    suspects = catalog.faces.rows(others)
    possible = _Possible(catalog, {row.id for row in suspects if row.source in RUNS})
    faces = [row for row in suspects if others[row.id] not in possible.barred(row)]
    first, clear = _resolve_loose(catalog, comparison, [row for row in faces if row.source in RUNS])
    findings = []
    for row in faces:
        match = first.get(row.id)
        if match is None or not match.is_accepted or match.person_id != row.person_id:
            findings.append(_nearer(row, others[row.id], said[row.id], clear.get(row.id), words))
    return findings


def _pair(one: int, other: int) -> tuple[int, int]:
    return min(int(one), int(other)), max(int(one), int(other))


def _is_nearer_to_the_middle(table: FaceTable, near: Nearness, row: int) -> bool:
    """Whether a face points rather to the middle of the other person than to that of its own, itself left out."""
    face = table.embeddings[row]
    own = table.embeddings[(table.people == near.people[row]) & (table.ids != near.ids[row])].mean(0)
    other = table.embeddings[table.people == near.other_people[row]].mean(0)
    cosines = [float(face @ middle) / max(float(np.linalg.norm(middle)), 1e-9) for middle in (own, other)]
    return cosines[1] > cosines[0]


def _resolve_loose(
    catalog: Catalog, comparison: Comparison, faces: Sequence[FaceRow]
) -> tuple[dict[int, Match], dict[int, Match]]:
    """Return what matching says of these faces when all of them belong to nobody; and what it says of those that
    clearly go to another person when only those are released."""
    first: dict[int, Match] | None = None
    loose = list(faces)
    while True:
        matches = _match_again(comparison, loose, _Possible(catalog, {row.id for row in loose}))
        first = matches if first is None else first
        clear = {row.id: m for row in loose if (m := matches.get(row.id)) and _is_move(row, m)}
        if len(clear) == len(loose):
            return first, clear
        loose = [row for row in loose if row.id in clear]


def _is_move(row: FaceRow, match: Match) -> bool:
    return match.is_accepted and match.person_id != row.person_id


def _nearer(row: FaceRow, other: int, said: tuple[float, float], match: Match | None, words: Words) -> Finding:
    """`said`: how near it is to its own person and to the other; `match`: to whom it clearly goes."""
    assert row.person_id is not None
    to = match.person_id if match is not None else other
    paths = words.paths([row.photo_id])
    text = (
        f"face {ids.face(row.id)} in {named(paths)} is {words.label(row.person_id)}, but nearer to {words.label(to)}"
        f" ({said[1]:.3f} instead of {said[0]:.3f})"
    )
    assigned = AssignedFace(row.id, row.person_id)
    return Finding(
        id=f"nearer:{row.id}:{row.person_id}",
        kind=FaultKind.NEARER,
        severity=Severity.BROKEN if row.source in RUNS else Severity.REMARK,
        text=text if row.source in RUNS else f"{text}; you assigned it, so it stays",
        people=(row.person_id, to),
        faces=(row.id,),
        photos=paths,
        remedies=(f"facewatch assign {ids.face(row.id)} {words.who(to)}", f"facewatch confirm {ids.face(row.id)}"),
        fix=Fix(releases=(assigned,), gains=(to,)) if match is not None else None,
    )


class _Possible:
    """Whom a face can be, when the loose ones belong to nobody."""

    def __init__(self, catalog: Catalog, loose: Collection[int]) -> None:
        self._catalog = catalog
        self._loose = loose
        self._rejections = catalog.rejections.all()

    def barred(self, row: FaceRow) -> set[int]:
        """Return who is in the photo with another face, was not born yet, or is not it, as a user said."""
        faces = self._catalog.faces
        present = {
            person_id
            for person_id in self._catalog.assignments.people_in(row.photo_id)
            if any(other.id not in {*self._loose, row.id} for other in faces.beside([row.photo_id], person_id))
        }
        return present.union(self._rejections.get(row.id, ()), not_born_yet(self._catalog, row.photo_id))


def _match_again(comparison: Comparison, faces: Sequence[FaceRow], possible: _Possible) -> dict[int, Match]:
    """Return what matching would say of each of these faces if all of them belonged to nobody."""
    if not faces:
        return {}
    table = comparison.table
    is_loose = np.isin(table.ids, [row.id for row in faces])
    gallery = comparison.gallery_of(table.take(~is_loose))
    by_id = {row.id: row for row in faces}
    loose = table.take(is_loose)
    matches: dict[int, Match] = {}
    for photo_id in np.unique(loose.photos):
        here = loose.take(loose.photos == photo_id)
        barred = [possible.barred(by_id[int(face_id)]) for face_id in here.ids]
        found = match_photo(gallery, here.embeddings, [Tier(tier) for tier in here.tiers], barred, day=here.day)
        matches.update((int(face_id), m) for face_id, m in zip(here.ids, found, strict=True) if m is not None)
    return matches


# --- faces that today's settings would refuse ---


def find_loose(catalog: Catalog, comparison: Comparison, words: Words) -> list[Finding]:
    """Return a finding for every person with whom a run assigned faces that today's settings would refuse."""
    settings = MatchSettings(strictness=comparison.settings.strictness, aggregation=comparison.settings.aggregation)
    loose = loose_faces(catalog, comparison.table, comparison.thresholds, settings)
    return [_loose(one, catalog.faces.rows(one.faces), comparison, words) for one in loose]


def _loose(one: Loose, rows: Sequence[FaceRow], comparison: Comparison, words: Words) -> Finding:
    paths, who = words.paths(row.photo_id for row in rows), words.who(one.person_id)
    n_faces = int((comparison.table.people == one.person_id).sum())
    then = f"{one.strictness:g}" if one.strictness is not None else "less"
    return Finding(
        id=f"loose:{one.person_id}",
        kind=FaultKind.LOOSE,
        severity=Severity.BROKEN,
        text=f"{len(rows)} of {n_faces} faces of {words.label(one.person_id)} were let in when match.strictness was"
        f" {then}, and would not be by today's {comparison.settings.strictness:g}: {_faces(rows[:MOST_LISTED])}"
        + (f" and {len(rows) - MOST_LISTED} more" if len(rows) > MOST_LISTED else "")
        + f" in {named(paths)}",
        people=(one.person_id,),
        faces=tuple(row.id for row in rows),
        photos=paths,
        remedies=(f"facewatch split {who}", f"facewatch confirm {who}"),
        fix=Fix(releases=assigned_of(rows)),
    )


# --- people that look like one ---


def find_alike(
    catalog: Catalog, comparison: Comparison, alike: Iterable[tuple[int, int, float]], words: Words
) -> list[Finding]:
    """Return a finding for every two people whose faces are as near to each other as those of one person (`alike`), who
    are in no photo together, or in a few as one person twice, and of whom no user said that they are two."""
    known = comparison.table
    rejections, apart = catalog.rejections.all(), catalog.rejections.cannot_links()
    pairs = [
        (one, other, distance)
        for one, other, distance in alike
        if other not in apart.get(one, ()) and not (words.everybody[one].is_hidden or words.everybody[other].is_hidden)
    ]
    photos = catalog.assignments.photos_of({person_id for pair in pairs for person_id in pair[:2]})
    findings = []
    for one, other, distance in pairs:
        said = (known.ids[known.people == person_id].tolist() for person_id in (one, other))
        mine, theirs = (set().union(*(rejections.get(face, set()) for face in faces)) for faces in said)
        common = photos[one] & photos[other]
        if other not in mine and one not in theirs and (not common or _is_twice(comparison, one, other)):
            findings.append(_alike(words, one, other, distance, len(common)))
    return findings


def _is_twice(comparison: Comparison, one: int, other: int) -> bool:
    table = comparison.table
    rows, others = (np.flatnonzero(table.people == person_id) for person_id in (one, other))
    both = compare(table.embeddings, table.photos, rows, others, comparison.thresholds.cluster)
    return both.is_doubtful and not both.is_often


def _alike(words: Words, one: int, other: int, distance: float, n_common: int) -> Finding:
    # Who is named stays, else who has more photos.
    people = [words.everybody[person_id] for person_id in (one, other)]
    into, joins = sorted(people, key=lambda person: (person.name is None, -person.n_photos, person.id))
    together = f"in {n_common} photo{'s' if n_common > 1 else ''} together" if n_common else "in no photo together"
    return Finding(
        id=f"alike:{min(one, other)}:{max(one, other)}",
        kind=FaultKind.ALIKE,
        severity=Severity.BROKEN,
        text=f"{into.label} and {joins.label} look like one person ({distance:.3f} apart), and are {together}",
        people=(into.id, joins.id),
        remedies=(
            f"facewatch merge {words.who(into.id)} {words.who(joins.id)}",
            f"facewatch apart {words.who(into.id)} {words.who(joins.id)}",
        ),
    )


_BLOCK_PEOPLE = 1024


def near_people(known: FaceTable, thresholds: Thresholds) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of people, the lower id first, with the mean distance of their faces, where grouping would make one
    of two such groups."""
    if not len(known):
        return
    order = np.argsort(known.people, kind="stable")
    people, starts, counts = np.unique(known.people[order], return_index=True, return_counts=True)
    means = np.stack([known.embeddings[rows].mean(0) for rows in np.split(order, starts[1:])])
    for start in range(0, len(people), _BLOCK_PEOPLE):
        # The product of two means is the mean cosine of all pairs of their faces.
        apart = distances(means[start : start + _BLOCK_PEOPLE] @ means.T)
        # One distance is weak evidence, as in grouping.
        is_single = (counts[start : start + _BLOCK_PEOPLE, None] == 1) & (counts == 1)
        limits = thresholds.cluster - np.where(is_single, thresholds.singleton_penalty, 0)
        for i, other in zip(*np.nonzero(apart < limits), strict=True):
            if start + i < other:
                yield int(people[start + i]), int(people[other]), float(apart[i, other])


# --- all of it ---


def check_faces(
    catalog: Catalog,
    table: FaceTable | None,
    comparison: Comparison | None,
    words: Words,
    contradictions: Sequence[Finding] = (),
) -> list[Finding]:
    """Return what is wrong with faces and people, the contradictions first.

    Args:
        table: the faces as the engine in use sees them; None: no engine is.
        comparison: None: it is not known how that engine compares faces, so none are compared.
        contradictions: what else is wrong; faces of these are not found to be nearer to another person, too.
    """
    findings = list(contradictions)
    reported = {face_id for finding in findings for face_id in finding.faces}
    if table is not None:
        findings += find_twice(catalog, table, words)
    reported |= {assigned.face_id for finding in findings if finding.fix for assigned in finding.fix.releases}
    if comparison is not None:
        comparison = replace(comparison, table=_of_the_living(comparison.table, words))
        loose = find_loose(catalog, comparison, words)
        reported |= {face_id for finding in loose for face_id in finding.faces}
        findings += loose
        known = comparison.table
        near = nearness(
            known.ids, known.people, known.embeddings, known.weights, n_shortlist=comparison.settings.shortlist
        )
        findings = [_with_gains(finding, near, comparison.thresholds) for finding in findings]
        alike = list(near_people(comparison.table, comparison.thresholds))
        nearer = find_nearer(catalog, comparison, near, {pair[:2] for pair in alike}, words)
        findings += [finding for finding in nearer if reported.isdisjoint(finding.faces)]
        findings += find_alike(catalog, comparison, alike, words)
    return findings


def _with_gains(finding: Finding, near: Nearness, thresholds: Thresholds) -> Finding:
    """Add to whom the faces may go that are released, so that they are matched again."""
    if finding.fix is None or not finding.fix.releases:
        return finding
    # Who is a little farther off than matching allows, costs a comparison.
    is_near = near.other < thresholds.match + thresholds.margin
    rows = np.isin(near.ids, [assigned.face_id for assigned in finding.fix.releases]) & is_near
    return replace(finding, fix=replace(finding.fix, gains=tuple(np.unique(near.other_people[rows]).tolist())))


def _of_the_living(table: FaceTable, words: Words) -> FaceTable:
    """Return the faces of people that live; those too poor to be compared are left out."""
    return table.take(np.isin(table.people, list(words.everybody)) & (table.tiers != Tier.SHOW.value))


def fix_faces(catalog: Catalog, findings: Iterable[Finding]) -> Decided:
    """Do what takes these faults away, as far as they are still there, as one entry of the journal that `undo` takes
    back; faces that users assigned stay where they are."""
    people: dict[int, None] = {}
    moved: list[int] = []
    released: list[int] = []
    kinds: dict[str, int] = {}
    now = catalog.now()
    with catalog.write(), catalog.journal.recording(USER, "audit", now=now) as record:
        for finding in findings:
            todo = finding.fix
            if todo is None or not _stands(catalog, todo):
                continue
            if todo.revives is not None:
                _revive(catalog, todo.revives)
            catalog.assignments.release([assigned.face_id for assigned in todo.releases])
            for assigned, to in todo.moves:
                catalog.assignments.move(
                    [assigned.face_id], to, rule=f"{label_of(assigned.person_id)} was merged", now=now
                )
            moved += [assigned.face_id for assigned, _ in todo.moves]
            released += [assigned.face_id for assigned in todo.releases]
            people.update(dict.fromkeys((*finding.people, *todo.gains)))
            kinds[finding.kind] = kinds.get(finding.kind, 0) + 1
        catalog.people.drop_covers()
        record.details.update(people=list(people), n_faces=len({*moved, *released}), n_released=len({*released}))
        record.details.update(found=kinds)
    return Decided(record.entry_id, "audit", tuple(people), tuple(moved), tuple(dict.fromkeys(released)))


def _stands(catalog: Catalog, todo: Fix) -> bool:
    """Whether the catalog still is as it was checked, where that matters."""
    changed = [*todo.releases, *(assigned for assigned, _ in todo.moves)]
    rows = {row.id: row for row in catalog.faces.rows([assigned.face_id for assigned in (*changed, *todo.needs)])}
    is_there = all(
        assigned.face_id in rows and rows[assigned.face_id].person_id == assigned.person_id
        for assigned in (*changed, *todo.needs)
    )
    return is_there and all(rows[assigned.face_id].source in RUNS for assigned in todo.releases)


def _revive(catalog: Catalog, person_id: int) -> None:
    """Take back that a person was merged; its name only where nobody has it meanwhile."""
    before: dict[str, object] = {"merged_into": None}
    if catalog.integrity.name_of(person_id) in catalog.people.names().values():
        before["name"] = None
    catalog.journal.take_back([Change("people", (person_id,), before, {"merged_into": person_id})])


def _faces(rows: Sequence[FaceRow]) -> str:
    return f"face{'s' if len(rows) > 1 else ''} {', '.join(ids.face(row.id) for row in rows)}"


def _times(n: int) -> str:
    return {2: "twice", 3: "three times"}.get(n, f"{n} times")
