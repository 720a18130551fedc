"""What becomes of one sidecar: what it says now, what facewatch has written there and what it is to say -> a verdict.

If what facewatch wrote is gone from a sidecar, somebody may have meant that: it is not written again until the user
says so.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from facewatch.catalog import MetadataRow
from facewatch.errors import RegionsError
from facewatch.regions import xmp
from facewatch.regions.model import PhotoRegions, Place, Region
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
        if row is None or row.doubt is None:
            return None
        why, *about = json.loads(row.doubt)
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
class Verdict:
    """What becomes of a sidecar, and what is on record of it then."""

    outcome: Outcome
    said: PhotoRegions
    """What of it is facewatch's own."""
    doubt: Doubt | None = None
    data: bytes | None = None
    """What it is to be; None: it stays as it is."""
    gone: tuple[str, ...] = ()
    """Who was written there and is not to be there any more."""


def verdict_on(
    before: bytes | None,
    wanted: WantedRegions,
    ours: PhotoRegions,
    doubt: Doubt | None,
    answer: Answer | None,
    *,
    rejected: Sequence[Region] = (),
) -> Verdict:
    """Return what becomes of a sidecar.

    Args:
        before: what it is now, or what it would begin with; None: it is not there.
        ours: what facewatch has written there.
        doubt: on record.
        answer: to names that are gone; None: nobody is asked now.
        rejected: names that faces do not have by the word of a user: they go, whoever wrote them.
    """
    left = doubt if doubt is not None and doubt.why is Why.LEFT and answer is not Answer.AGAIN else None
    wanted = left_out(wanted, left)
    try:
        now = PhotoRegions() if before is None else xmp.read(before)
        gone = tuple(name for name in lost(now, ours) if name in names_of(wanted.said))
        if gone and answer is None:
            return Verdict(Outcome.ASKED, ours, Doubt(Why.VANISHED, gone))
        if gone and answer is Answer.LEAVE:
            left = Doubt(Why.LEFT, (*(left.about if left else ()), *gone))
            wanted, ours = left_out(wanted, left), _without(ours, gone)
        if before is None and not names_of(wanted.said):
            return Verdict(Outcome.SAME, wanted.said, left)
        merged = merge(before, wanted, replace(ours, regions=(*ours.regions, *rejected)))
    except RegionsError as error:
        return Verdict(Outcome.DAMAGED, ours, Doubt(Why.DAMAGED, (str(error),)))
    names = names_of(merged.said)
    retired = tuple(name for name in names_of(ours) if name not in names)
    return Verdict(Outcome.WRITTEN if merged.data else Outcome.SAME, merged.said, left, merged.data, retired)


def left_out(wanted: WantedRegions, doubt: Doubt | None) -> WantedRegions:
    """Return what is wanted without the names that the user wants left out of that sidecar."""
    if doubt is None or doubt.why is not Why.LEFT:
        return wanted
    faces = tuple(face for face in wanted.faces if face.name not in doubt.about)
    return replace(wanted, faces=faces, present=tuple(name for name in wanted.present if name not in doubt.about))


def names_of(said: PhotoRegions) -> tuple[str, ...]:
    """Return who is named in what facewatch writes."""
    return said.keywords.get(Place.PERSON_IN_IMAGE, ())


def _without(said: PhotoRegions, names: Collection[str]) -> PhotoRegions:
    kept = tuple(name for name in names_of(said) if name not in names)
    return replace(
        said,
        regions=tuple(region for region in said.regions if region.name not in names),
        keywords=MappingProxyType({Place.PERSON_IN_IMAGE: kept} if kept else {}),
    )
