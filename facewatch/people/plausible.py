"""Which face of a photo is meant by somebody who says who is on it: the only one that looks like that person."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import Catalog
from facewatch.types import distance_of

if TYPE_CHECKING:
    from facewatch.types import Floats


def candidates(catalog: Catalog, person_id: int | None, photo_id: int, *, with_rejected: bool = False) -> list[int]:
    """Return the faces of a photo that may be somebody's, from left to right: nobody's, and those of people whom nobody
    has named; none where the person has one on it already.

    Args:
        person_id: None: it is somebody new.
        with_rejected: also those of which it was said that they are not this person.
    """
    is_out = catalog.rejections.of_person(person_id) if person_id is not None and not with_rejected else set()
    rows, names = catalog.faces.in_photo(photo_id), catalog.people.names()
    if person_id is not None and any(row["person_id"] == person_id for row in rows):
        return []
    return [
        int(row["face_id"])
        for row in rows
        if row["mark"] is None
        and row["face_id"] not in is_out
        and (row["person_id"] is None or row["person_id"] not in names)
        and row["source"] != "user"
    ]


def only_plausible(
    catalog: Catalog,
    person_id: int | None,
    clear: Collection[int],
    options: Mapping[int, Collection[int]],
    reach: float,
) -> dict[int, int]:
    """Return, by photo, the only face of each that looks like somebody; photos of which that is not clear are absent.

    Of somebody of whom no face is known yet the photos themselves tell: whoever is on most of them is meant.

    Args:
        person_id: None: it is somebody new.
        clear: faces that are that person in any case.
        options: faces that may be meant, by photo.
        reach: the distance up to which two faces are of one person.
    """
    engine = catalog.engines.in_use()
    wanted = [*clear, *(face for faces in options.values() for face in faces)]
    if engine is None or not options:
        return {}
    table = catalog.faces.load(engine.id, n_dims=engine.n_dims, faces=wanted)
    vectors = dict(zip(table.ids.tolist(), table.embeddings, strict=True))
    known = [vectors[face] for face in clear if face in vectors]
    if person_id is not None:
        theirs = catalog.faces.load(engine.id, n_dims=engine.n_dims, people=[person_id], with_references=True)
        known += list(theirs.embeddings)
    seen = {photo: {face: vectors[face] for face in faces if face in vectors} for photo, faces in options.items()}
    if not known:
        known = _shared(seen, reach)
    found = {}
    for photo, faces in seen.items():
        near = [face for face, vector in faces.items() if _is_near(vector, known, reach)]
        if len(near) == 1:
            found[photo] = near[0]
    return found


def _shared(seen: Mapping[int, Mapping[int, Floats]], reach: float) -> list[Floats]:
    """The face that most photos have a like of; none where it is not more than half of them, or several are."""
    counts = {
        face: sum(_is_near(vector, list(faces.values()), reach) for faces in seen.values())
        for own in seen.values()
        for face, vector in own.items()
    }
    most = max(counts.values(), default=0)
    if most < 2 or 2 * most <= len(seen):
        return []
    best = [vector for faces in seen.values() for face, vector in faces.items() if counts[face] == most]
    # Two people who are on all of them are both as likely.
    return best[:1] if all(_is_near(vector, best[:1], reach) for vector in best) else []


def _is_near(vector: Floats, known: Collection[Floats], reach: float) -> bool:
    if not len(known):
        return False
    return distance_of(float((np.stack(list(known)) @ vector).max())) <= reach
