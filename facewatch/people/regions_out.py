"""Writes who is in a photo, and where, into a sidecar, where other programs read it.

A sidecar is looked at when what it is to say is not what was written last, or when it has changed since; what others
wrote in it stays (see `regions.writing` and `sidecar_rules`). None is ever deleted, and no photo is written.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from facewatch.catalog import Catalog
from facewatch.catalog.metadata import MetadataKind, MetadataRow, Way
from facewatch.folders.sidecars import NO_FILE, Sidecar, fingerprint_of, read_sidecar, write_sidecar
from facewatch.fs.locks import file_lock
from facewatch.fs.sidecar import SIDECARS_LOCK, beside
from facewatch.people.sidecar_rules import Answer, Doubt, Outcome, Verdict, Why, Written, names_of, verdict_on
from facewatch.people.sidecar_targets import SidecarSettings, SidecarTargets, Target
from facewatch.regions import stored
from facewatch.regions.restating import packet_of
from facewatch.regions.writing import WantedRegions
from facewatch.types import Fingerprint

PHOTO_AWAY, FOLDER_AWAY = "its photo is not there", "the folder of the sidecars is not there"
"""Why sidecars wait; the second: if it was deleted, --again makes it anew."""

LOCK_SECONDS = 1.0
"""How long another process that writes sidecars is waited for."""

_INSTEAD_OF = (MetadataKind.SIDECAR, MetadataKind.EMBEDDED)
"""In place of what a sidecar IMG.JPG.xmp counts: of IMG.xmp, else of the photo itself."""


@dataclass(frozen=True, slots=True)
class SidecarTold:
    """What became of a sidecar that was not as it is to be."""

    outcome: Outcome
    photo: str
    """Absolute; so is `sidecar`."""
    sidecar: str
    names: tuple[str, ...] = ()
    """Who stands in it by facewatch's word; asked: who is gone from it."""
    gone: tuple[str, ...] = ()
    """Who does not any more."""
    reason: str = ""
    """Why it waits, is damaged, or cannot be read or written."""
    is_new: bool = True
    """Whether it was not so already when it was looked at last."""


@dataclass(frozen=True, slots=True)
class SidecarCounts:
    """The sidecars on record, in numbers."""

    n_written: int
    """Those that name somebody by facewatch's word."""
    n_asked: int
    n_left: int
    """From which the user wants names left out."""
    n_damaged: int
    last_written: str | None
    """When; UTC."""


@dataclass(eq=False)
class NamesIntoFiles:
    """The sidecars of the photos of the libraries, kept as the catalog says."""

    catalog: Catalog
    targets: SidecarTargets
    _settled: dict[tuple[int, str], int] = field(default_factory=dict, init=False)
    """By photo and sidecar a hash of all that led to the answer that it says what it is to say: what it is to say of
    50,000 photos takes seconds to put together, and to compare."""
    _full: str = field(default="", init=False)
    """Why nothing more can be written; empty: it can."""

    @property
    def settings(self) -> SidecarSettings:
        return self.targets.settings

    def write(self, answer: Answer | None = None, *, is_trial: bool = False) -> Iterator[SidecarTold]:
        """Bring the sidecars up to date; yields those that were not as they are to be. In a trial nothing is written.

        Closing the generator stops after what is written.

        Raises:
            BusyError: another process writes sidecars.
        """
        lock = beside(self.catalog.path, SIDECARS_LOCK)
        with file_lock(lock, wait_seconds=LOCK_SECONDS, purpose="a facewatch that writes sidecars"):
            self._full = ""
            for target in self.targets.all(is_trial=is_trial):
                doubt = Doubt.of(target.row)
                is_open = doubt is not None and (answer is not None or doubt.why is Why.VANISHED)
                if is_open or not self._is_settled(target):
                    told = self._bring_up_to_date(target, doubt, answer, is_trial=is_trial)
                    if told.outcome is not Outcome.SAME:
                        yield told

    def counts(self) -> SidecarCounts:
        doubts, n_written, last = self.catalog.metadata.written()
        whys = Counter[Why]()
        for text, n in doubts.items():
            whys[Doubt.read(text).why] += n
        return SidecarCounts(n_written, whys[Why.VANISHED], whys[Why.LEFT], whys[Why.DAMAGED], last)

    def _is_settled(self, target: Target) -> bool:
        """Whether a sidecar says what it is to say, by what is on record and its fingerprint."""
        row, key = target.row, (target.place.photo_id, target.sidecar)
        if row is not None and row.fingerprint != fingerprint_of(target.root, target.path):
            return False
        state = hash((target.shape, target.faces, target.present, target.rejected, row))
        if self._settled.get(key) != state:
            if not target.is_recorded:
                return False
            self._settled[key] = state
        return True

    # --- one of them ---

    def _bring_up_to_date(
        self, target: Target, doubt: Doubt | None, answer: Answer | None, *, is_trial: bool
    ) -> SidecarTold:
        if not os.path.lexists(target.photo):
            return SidecarTold(Outcome.WAITS, target.photo, target.sidecar, reason=PHOTO_AWAY)
        if target.is_away and answer is not Answer.AGAIN:
            return SidecarTold(Outcome.WAITS, target.photo, target.sidecar, reason=FOLDER_AWAY)
        if self._full:
            return SidecarTold(Outcome.FAILED, target.photo, target.sidecar, reason=self._full)
        try:
            before = read_sidecar(target.root, target.path)
            ours = self._ours(target, before)
            verdict = verdict_on(
                before.data if before else self._beginning(target),
                self._wanted(target, before),
                ours,
                doubt,
                answer,
                rejected=target.unwanted,
            )
            if not is_trial:
                self._apply(target, before, verdict)
            return _told_of(target, verdict)
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                self._full = reason
            return SidecarTold(Outcome.FAILED, target.photo, target.sidecar, reason=reason)

    def _wanted(self, target: Target, before: Sidecar | None) -> WantedRegions:
        """What a sidecar is to say: what files said of faces does not win over what it says itself and nobody looked
        at yet."""
        if before is None:
            return target.wanted()
        rows = self.catalog.metadata.of_photo(target.place.photo_id, Way.READ)
        read = [row for row in rows if row.path == target.sidecar and row.fingerprint == before.fingerprint]
        taken = self.catalog.beside.taken(target.place.photo_id)
        return target.wanted(trusts_files=any(taken.get(row.path) == row.said for row in read))

    def _beginning(self, target: Target) -> bytes | None:
        """What a sidecar begins with that counts in place of others that speak of its photo; None: there are none."""
        if not self.settings.is_beside:
            return None
        rows = [
            row
            for row in self.catalog.metadata.of_photo(target.place.photo_id, Way.READ)
            if row.kind in _INSTEAD_OF and row.path != target.sidecar and row.doubt is None and row.said != "{}"
        ]
        first = min(rows, key=lambda row: _INSTEAD_OF.index(row.kind), default=None)
        return packet_of(stored.from_json(first.said)) if first is not None else None

    def _ours(self, target: Target, before: Sidecar | None) -> Written:
        """What facewatch has written into a sidecar: there, or where it was before it was moved with its photo."""
        rows = [target.row] if target.row is not None else []
        if before is not None and not rows:
            digest = hashlib.sha256(before.data).digest()
            rows += self.catalog.metadata.at(target.sidecar, Way.WRITTEN)
            moved = self.catalog.metadata.of_photo(target.place.photo_id, Way.WRITTEN)
            rows += [row for row in moved if row.sha256 == digest]
        return Written.of(rows[0]) if rows else Written()

    def _apply(self, target: Target, before: Sidecar | None, verdict: Verdict) -> None:
        """Write the sidecar, if it is to be another, and record what is facewatch's own in it."""
        data, fingerprint = (before.data, before.fingerprint) if before else (b"", NO_FILE)
        if verdict.data is not None:
            data, fingerprint = verdict.data, self._written(target, before, verdict.data)
        row = MetadataRow(
            target.sidecar,
            target.place.photo_id,
            Way.WRITTEN,
            MetadataKind.SIDECAR,
            fingerprint,
            hashlib.sha256(data).digest(),
            verdict.written.text,
            verdict.doubt.text if verdict.doubt else None,
        )
        if row != target.row:
            with self.catalog.write():
                self.catalog.metadata.put([row], self.catalog.now())

    def _written(self, target: Target, before: Sidecar | None, data: bytes) -> Fingerprint:
        is_beside = self.settings.is_beside
        if not is_beside:
            self.settings.mirror.mkdir(mode=0o700, exist_ok=True)
        # Who may see the photo may read who is on it; what is kept elsewhere is its owner's alone.
        rights = os.lstat(target.photo).st_mode & 0o666 if is_beside else 0o600
        return write_sidecar(target.root, target.path, data, before=before, mode=rights, makes_folders=not is_beside)


def _told_of(target: Target, verdict: Verdict) -> SidecarTold:
    doubt = verdict.doubt
    is_doubted = verdict.outcome in (Outcome.ASKED, Outcome.DAMAGED)
    about = doubt.about if is_doubted and doubt is not None else ()
    return SidecarTold(
        verdict.outcome,
        target.photo,
        target.sidecar,
        names=about if verdict.outcome is Outcome.ASKED else names_of(verdict.written.said),
        gone=verdict.gone,
        reason=about[0] if verdict.outcome is Outcome.DAMAGED else "",
        is_new=not is_doubted or doubt != Doubt.of(target.row),
    )
