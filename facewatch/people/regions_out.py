"""Writes who is in a photo, and where, into a sidecar, where other programs read it.

A sidecar is looked at when what it is to say is not what was written last, or when it has changed since; what others
wrote in it stays (see `regions.writing` and `sidecar_rules`). None is ever deleted, and no photo is written.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from facewatch.catalog import Catalog, MetadataKind, MetadataRow, Way
from facewatch.catalog.named import NamedBox, PhotoPlace, PhotoShape
from facewatch.folders.sidecars import NO_FILE, SUFFIX, Sidecar, fingerprint_of, read_sidecar, write_sidecar
from facewatch.fs.locks import file_lock
from facewatch.fs.sidecar import SIDECARS_LOCK, beside
from facewatch.people.sidecar_rules import Answer, Doubt, Outcome, Verdict, Why, left_out, names_of, verdict_on
from facewatch.regions import stored
from facewatch.regions.model import PhotoRegions, Region, Size
from facewatch.regions.orientation import area_of, box_of, to_stored, upright_size
from facewatch.regions.restating import packet_of
from facewatch.regions.writing import WantedFace, WantedRegions
from facewatch.types import Fingerprint

PHOTO_AWAY, FOLDER_AWAY = "its photo is not there", "the folder of the sidecars is not there"
"""Why sidecars wait; the second: if it was deleted, --again makes it anew."""

LOCK_SECONDS = 1.0
"""How long another process that writes sidecars is waited for."""


_INSTEAD_OF = (MetadataKind.SIDECAR, MetadataKind.EMBEDDED)
"""In place of what a sidecar IMG.JPG.xmp counts: of IMG.xmp, else of the photo itself."""


@dataclass(frozen=True, slots=True)
class SidecarSettings:
    """Whether and where sidecars are written."""

    is_on: bool
    """Whether scans and the watcher write them."""
    is_beside: bool
    """Beside the photos, not in the mirror."""
    mirror: Path
    """The folder that has a folder for each library, and in that the same folders as there."""
    only_confirmed: bool
    """Only faces that a user or a file gave somebody."""


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


@dataclass(frozen=True, slots=True)
class _Target:
    """A sidecar, and what it is to say."""

    place: PhotoPlace
    root: str
    """The folder below which it is; `path` is below that."""
    path: str
    wanted: WantedRegions
    by_user: tuple[bool, ...]
    """Of the wanted faces: whether a user, and not only a file, says whose they are."""
    rejected: tuple[Region, ...]
    row: MetadataRow | None
    is_away: bool
    """Whether the folder below which it is had sidecars and is not there: its drive is unplugged."""

    @property
    def photo(self) -> str:
        return f"{self.place.root}/{self.place.path}"

    @property
    def sidecar(self) -> str:
        return f"{self.root}/{self.path}"

    @property
    def is_settled(self) -> bool:
        """Whether the sidecar says what it is to say, by what is on record and its fingerprint."""
        said = left_out(self.wanted, Doubt.of(self.row)).said
        if self.row is None:
            return not names_of(said) and not self.rejected
        is_same = self.row.fingerprint == fingerprint_of(self.root, self.path)
        return is_same and self.row.said == stored.to_json(said)


@dataclass(eq=False)
class NamesIntoFiles:
    """The sidecars of the photos of the libraries, kept as the catalog says."""

    catalog: Catalog
    settings: SidecarSettings
    describe: Callable[[Collection[int]], None]
    """Looks how these photos are turned, and records it."""
    _full: str = field(default="", init=False)
    """Why nothing more can be written; empty: it can."""

    def write(self, answer: Answer | None = None, *, is_trial: bool = False) -> Iterator[SidecarTold]:
        """Bring the sidecars up to date; yields those that were not as they are to be. In a trial nothing is written.

        Closing the generator stops after what is written.

        Raises:
            BusyError: another process writes sidecars.
        """
        lock = beside(self.catalog.path, SIDECARS_LOCK)
        with file_lock(lock, wait_seconds=LOCK_SECONDS, purpose="a facewatch that writes sidecars"):
            self._full = ""
            for target in self._targets(is_trial=is_trial):
                doubt = Doubt.of(target.row)
                is_open = doubt is not None and (answer is not None or doubt.why is Why.VANISHED)
                if is_open or not target.is_settled:
                    told = self._bring_up_to_date(target, doubt, answer, is_trial=is_trial)
                    if told.outcome is not Outcome.SAME:
                        yield told

    def counts(self) -> SidecarCounts:
        rows = self.catalog.metadata.all(Way.WRITTEN).values()
        whys = Counter(doubt.why for row in rows if (doubt := Doubt.of(row)) is not None)
        n_written = sum(row.fingerprint != NO_FILE and bool(names_of(stored.from_json(row.said))) for row in rows)
        return SidecarCounts(n_written, whys[Why.VANISHED], whys[Why.LEFT], whys[Why.DAMAGED])

    # --- what they are to say ---

    def _targets(self, *, is_trial: bool) -> list[_Target]:
        with self.catalog.read():
            rows = self.catalog.metadata.all(Way.WRITTEN)
            faces, present = self._named()
            rejected = _by_photo(self.catalog.named.rejected())
            photos = {*faces, *present, *rejected, *(photo_id for photo_id, _ in rows)}
            shapes = self.catalog.named.shapes(photos)
            places = self.catalog.named.places(photos)
        unknown = [photo_id for photo_id, shape in shapes.items() if shape.orientation is None]
        if unknown and not is_trial:
            self.describe(unknown)
            shapes |= self.catalog.named.shapes(unknown)
        labels, away, targets = self._labels(), self._folders_away(path for _, path in rows), []
        for place in places:
            shape = shapes.get(place.photo_id)
            if shape is not None and (shape.orientation is not None or is_trial):
                own = faces.get(place.photo_id, ())
                wanted = wanted_regions(shape, own, present.get(place.photo_id, ()))
                nots = wanted_regions(shape, rejected.get(place.photo_id, ()), ()).said.regions
                root, path = self._sidecar_of(place, labels)
                row = rows.get((place.photo_id, f"{root}/{path}"))
                is_away = not self.settings.is_beside and labels[place.root_id] in away
                by_user = tuple(face.by_user for face in own)
                targets.append(_Target(place, root, path, wanted, by_user, nots, row, is_away))
        return targets

    def _named(self) -> tuple[Mapping[int, Sequence[NamedBox]], Mapping[int, Sequence[str]]]:
        """Faces, and names without one, by the photos that they are in."""
        present = defaultdict(list)
        for photo_id, name in self.catalog.named.present():
            present[photo_id].append(name)
        return _by_photo(self.catalog.named.faces(with_runs=not self.settings.only_confirmed)), present

    def _sidecar_of(self, place: PhotoPlace, labels: Mapping[int, str]) -> tuple[str, str]:
        """Return the folder below which the sidecar of a photo is, and its path there."""
        if self.settings.is_beside:
            return place.root, f"{place.path}{SUFFIX}"
        return str(self.settings.mirror), f"{labels[place.root_id]}/{place.path}{SUFFIX}"

    def _labels(self) -> dict[int, str]:
        """The folder of each library in the mirror: its name, with its number where an older one is called so."""
        labels: dict[int, str] = {}
        for root_id, root in self.catalog.named.roots():
            name = Path(root).name or "photos"
            is_taken = name.casefold() in map(str.casefold, labels.values())
            labels[root_id] = f"{name} ({root_id})" if is_taken else name
        return labels

    def _folders_away(self, paths: Iterable[str]) -> set[str]:
        """Return the folders of the mirror that sidecars were written into and that are not there."""
        top = f"{self.settings.mirror}/"
        used = {path.removeprefix(top).partition("/")[0] for path in paths if path.startswith(top)}
        return {label for label in used if not os.path.isdir(f"{top}{label}")}  # noqa: PTH112 - bytes may be odd

    # --- one of them ---

    def _bring_up_to_date(
        self, target: _Target, doubt: Doubt | None, answer: Answer | None, *, is_trial: bool
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
                rejected=target.rejected,
            )
            if not is_trial:
                self._apply(target, before, verdict)
            return _told_of(target, verdict)
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                self._full = reason
            return SidecarTold(Outcome.FAILED, target.photo, target.sidecar, reason=reason)

    def _wanted(self, target: _Target, before: Sidecar | None) -> WantedRegions:
        """What a sidecar is to say: what files said of faces does not win over what it says itself and nobody looked
        at yet."""
        read = [r for r in self.catalog.metadata.of_photo(target.place.photo_id, Way.READ) if r.path == target.sidecar]
        taken = self.catalog.beside.taken(target.place.photo_id)
        is_taken = (
            any(row.fingerprint == before.fingerprint and taken.get(row.path) == row.said for row in read)
            if before
            else True
        )
        if is_taken:
            return target.wanted
        pairs = zip(target.wanted.faces, target.by_user, strict=True)
        return replace(target.wanted, faces=tuple(replace(face, is_confirmed=by_user) for face, by_user in pairs))

    def _beginning(self, target: _Target) -> bytes | None:
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

    def _ours(self, target: _Target, before: Sidecar | None) -> PhotoRegions:
        """What facewatch has written into a sidecar: there, or where it was before it was moved with its photo."""
        rows = [target.row] if target.row is not None else []
        if before is not None and not rows:
            digest = hashlib.sha256(before.data).digest()
            rows += self.catalog.metadata.at(target.sidecar, Way.WRITTEN)
            moved = self.catalog.metadata.of_photo(target.place.photo_id, Way.WRITTEN)
            rows += [row for row in moved if row.sha256 == digest]
        return stored.from_json(rows[0].said) if rows else PhotoRegions()

    def _apply(self, target: _Target, before: Sidecar | None, verdict: Verdict) -> None:
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
            stored.to_json(verdict.said),
            verdict.doubt.text if verdict.doubt else None,
        )
        if row != target.row:
            with self.catalog.write():
                self.catalog.metadata.put([row], self.catalog.now())

    def _written(self, target: _Target, before: Sidecar | None, data: bytes) -> Fingerprint:
        is_beside = self.settings.is_beside
        if not is_beside:
            self.settings.mirror.mkdir(mode=0o700, exist_ok=True)
        # Who may see the photo may read who is on it; what is kept elsewhere is its owner's alone.
        rights = os.lstat(target.photo).st_mode & 0o666 if is_beside else 0o600
        return write_sidecar(target.root, target.path, data, before=before, mode=rights, makes_folders=not is_beside)


def wanted_regions(shape: PhotoShape, faces: Sequence[NamedBox], present: Sequence[str]) -> WantedRegions:
    """Return what the metadata of a photo is to say; its areas are those of the stored picture."""
    upright, orientation = Size(shape.width, shape.height), shape.orientation or 1
    size = upright_size(upright, orientation)
    wanted = (
        WantedFace(
            box_of(to_stored(area_of(face.box, upright), orientation), size), face.name, face.by_user or face.by_file
        )
        for face in faces
    )
    return WantedRegions(size, orientation, tuple(wanted), tuple(present))


def _by_photo(faces: Iterable[NamedBox]) -> dict[int, list[NamedBox]]:
    found: dict[int, list[NamedBox]] = defaultdict(list)
    for face in faces:
        found[face.photo_id].append(face)
    return found


def _told_of(target: _Target, verdict: Verdict) -> SidecarTold:
    doubt = verdict.doubt
    is_doubted = verdict.outcome in (Outcome.ASKED, Outcome.DAMAGED)
    about = doubt.about if is_doubted and doubt is not None else ()
    return SidecarTold(
        verdict.outcome,
        target.photo,
        target.sidecar,
        names=about if verdict.outcome is Outcome.ASKED else names_of(verdict.said),
        gone=verdict.gone,
        reason=about[0] if verdict.outcome is Outcome.DAMAGED else "",
        is_new=not is_doubted or doubt != Doubt.of(target.row),
    )
