"""What becomes of one sidecar: what it says now, what facewatch has written there and what it is to say -> a verdict.

If what facewatch wrote is gone from a sidecar, somebody may have meant that: it is not written again until the user
says so.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from facewatch.boxes import SAME_FACE, overlaps
from facewatch.catalog.metadata import MetadataRow
from facewatch.errors import RegionsError
from facewatch.regions import stored, xmp
from facewatch.regions.model import PhotoRegions, Place, Region
from facewatch.regions.region_list import rows_of
from facewatch.regions.writing import WantedRegions, lost, merge


class Why(StrEnum):
    """Why something is not written."""

    VANISHED = "vanished"
    """It was written, and is gone from the sidecar."""
    LEFT = "left"
    """The user said that it is to stay gone."""
    DAMAGED = "damaged"
    """The sidecar is none, or its regions belong to another picture."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why something is not written into a sidecar, as it is kept on record."""

    why: Why
    about: tuple[str, ...]
    """The names; of a damaged sidecar what is wrong with it."""

    @property
    def text(self) -> str:
        return json.dumps([self.why, *self.about], ensure_ascii=False)

    @classmethod
    def of(cls, row: MetadataRow | None) -> Doubt | None:
        return cls.read(row.doubt) if row is not None and row.doubt is not None else None

    @classmethod
    def read(cls, text: str) -> Doubt:
        """Return what `text` was made of."""
        why, *about = json.loads(text)
        return cls(Why(why), tuple(about))


class Answer(StrEnum):
    """What a user says to names that are gone from sidecars."""

    AGAIN = "again"
    LEAVE = "leave"


class Outcome(StrEnum):
    """What becomes of a sidecar."""

    SAME = "same"
    WRITTEN = "written"
    ASKED = "asked"
    """What was written is gone from it: the user is asked."""
    DAMAGED = "damaged"
    WAITS = "waits"
    """The drive of its photo, or of the mirror, is not there."""
    FAILED = "failed"
    """It cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Written:
    """What facewatch stands for in a sidecar, as it is kept on record."""

    said: PhotoRegions = field(default_factory=PhotoRegions)
    found: tuple[str, ...] = ()
    """Names of it that another program had written before: they stay when facewatch does not name those faces any
    more; they go when it names them otherwise, or a user has said that it is not them."""

    @property
    def text(self) -> str:
        """The JSON of what is said (see `regions.stored`), with one more field."""
        found = {"found": self.found} if self.found else {}
        return json.dumps(json.loads(stored.to_json(self.said)) | found, ensure_ascii=False)

    @classmethod
    def of(cls, row: MetadataRow) -> Written:
        return cls(stored.from_json(row.said), tuple(json.loads(row.said).get("found", ())))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a sidecar, and what is on record of it then."""

    outcome: Outcome
    written: Written
    doubt: Doubt | None = None
    data: bytes | None = None
    """What it is to be; None: it stays as it is."""
    gone: tuple[str, ...] = ()
    """Who was written there and is not to be there any more."""


def verdict_on(
    before: bytes | None,
    wanted: WantedRegions,
    ours: Written,
    doubt: Doubt | None,
    answer: Answer | None,
    *,
    rejected: Sequence[Region] = (),
) -> Verdict:
    """Return what becomes of a sidecar.

    Args:
        before: what it is now, or what it would begin with; None: it is not there.
        ours: what facewatch has written there, or found.
        doubt: on record.
        answer: to names that are gone; None: nobody is asked now.
        rejected: names that faces do not have by the word of a user: they go, whoever wrote them.
    """
    left = doubt if doubt is not None and doubt.why is Why.LEFT and answer is not Answer.AGAIN else None
    wanted, said = left_out(wanted, left), ours.said
    try:
        now = PhotoRegions() if before is None else xmp.read(before)
        gone = tuple(name for name in lost(now, said) if name in names_of(wanted.said))
        if gone and answer is None:
            return Verdict(Outcome.ASKED, ours, Doubt(Why.VANISHED, gone))
        if gone and answer is Answer.LEAVE:
            left = Doubt(Why.LEFT, (*(left.about if left else ()), *gone))
            wanted, said = left_out(wanted, left), _without(said, gone)
        if before is None and not names_of(wanted.said):
            return Verdict(Outcome.SAME, Written(wanted.said), left)
        own = _without(said, {*ours.found} - _corrected(said, wanted))
        merged = merge(before, wanted, replace(own, regions=(*own.regions, *rejected)))
    except RegionsError as error:
        return Verdict(Outcome.DAMAGED, ours, Doubt(Why.DAMAGED, (str(error),)))
    names = names_of(merged.said)
    there = {*names_of(now), *(name for face in now.faces for name in face.names)} - {*names_of(own)}
    written = Written(merged.said, tuple(name for name in names if name in there))
    retired = tuple(name for name in names_of(own) if name not in names)
    return Verdict(Outcome.WRITTEN if merged.data else Outcome.SAME, written, left, merged.data, retired)


def left_out(wanted: WantedRegions, doubt: Doubt | None) -> WantedRegions:
    """Return what is wanted without the names that the user wants left out of that sidecar."""
    if doubt is None or doubt.why is not Why.LEFT:
        return wanted
    faces = tuple(face for face in wanted.faces if face.name not in doubt.about)
    return replace(wanted, faces=faces, present=tuple(name for name in wanted.present if name not in doubt.about))


def names_of(said: PhotoRegions) -> tuple[str, ...]:
    """Return who is named in what facewatch writes."""
    return said.keywords.get(Place.PERSON_IN_IMAGE, ())


def _corrected(said: PhotoRegions, wanted: WantedRegions) -> set[str]:
    """Return whose faces are somebody else's now."""
    before, faces = [r for r in said.regions if r.area], [r for r in wanted.said.regions if r.area]
    is_same = overlaps(rows_of([r.area for r in before]), rows_of([r.area for r in faces])) >= SAME_FACE
    return {before[i].name for i, j in np.argwhere(is_same) if before[i].name != faces[j].name}


def _without(said: PhotoRegions, names: Collection[str]) -> PhotoRegions:
    kept = tuple(name for name in names_of(said) if name not in names)
    return replace(
        said,
        regions=tuple(region for region in said.regions if region.name not in names),
        keywords=MappingProxyType({Place.PERSON_IN_IMAGE: kept} if kept else {}),
    )
