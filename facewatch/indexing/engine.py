"""The configured engine, and the change to it: photos are analysed in the background, then all answers change at once.

Until every photo that can be read has been analysed by it, the answers of the engine in use stand, and what the wanted
one finds stays hidden. Every photo is a transaction of its own and so is the change itself, so that it may be cut
off anywhere and carries on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.catalog import Catalog, KnownEngine, PendingPhoto
from facewatch.engines import FIRST_ENGINE, describe_engine, runtime_of
from facewatch.engines.options import EngineOptions
from facewatch.errors import EngineError, NotKnownError
from facewatch.fs.mounts import is_file
from facewatch.types import EngineInfo, Normalisation, Read, ReadModels

if TYPE_CHECKING:
    from facewatch.indexing.analyzer import Recipe
    from facewatch.quality import Limits


MODELS_READ = "models_read"
"""The setting that says how the model files were when a scan read them, and what was in them (`ReadModels`)."""


def _models_of(written: object) -> ReadModels | None:
    """Return what `remember` has written; None: that is something else."""
    match written:
        case [str(name), str(fingerprint), int(n_dims), str(licence)]:
            return ReadModels(name, fingerprint, n_dims, licence)
    return None


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the settings say of the engine."""

    name: str = ""
    """Empty: the one that was asked for last, else the one in use."""
    options: EngineOptions = field(default_factory=EngineOptions)
    max_pixels: int = 200_000_000
    min_face_pixels: int = 0
    """Of the shorter side, to be matched; 0: as the engine's limits say."""
    min_sharpness: float = 0.0
    """To be matched; 0: as the engine's limits say."""
    min_confidence: float = 0.0
    """The detector's, to be matched."""
    is_normalised: bool = True
    """Whether similarities are normalised by those to strangers."""
    strictness: float = 0.0
    """Taken off every threshold, in the engine's distance."""


@dataclass(frozen=True, slots=True)
class SwitchProgress:
    """The progress of the change."""

    before: str
    """The engine whose answers are shown."""
    wanted: str
    n_done: int
    """Photos that the wanted engine has analysed."""
    n_photos: int


@dataclass(frozen=True, slots=True)
class EngineInUse:
    """Whose answers are shown now; while the engine is being changed, that is not the wanted one."""

    id: int
    info: EngineInfo
    wanted: str | None = None
    """The engine that it is being changed to; None: it is not."""


class WantedEngine:
    """The engine that the settings want, in a catalog; the one in use may be another, until all is analysed."""

    def __init__(self, catalog: Catalog, settings: EngineSettings, *, info: EngineInfo | None = None) -> None:
        """`info` takes the place of the settings' engine."""
        self._catalog = catalog
        self.settings = settings
        self._info = info
        self._is_given = info is not None
        self._id: int | None = None
        self._tried: set[int] = set()
        """Photos that were looked for in this run: one whose file has just gone must not keep the rest waiting."""

    @property
    def name(self) -> str:
        """That of the settings, else the one that was asked for last, else the one in use."""
        if self._info is not None:
            return self._info.name
        asked_for = self.settings.name or self._catalog.settings.get("engine")
        return asked_for or self._catalog.engines.in_use_name() or FIRST_ENGINE

    @property
    def info(self) -> EngineInfo:
        """What identifies it; asked for when it is needed, because decisions can be made without it.

        Raises:
            EngineError: its files are absent; the message says which command brings them.
        """
        if self._info is None:
            self._info = describe_engine(self.name, self.settings.options, self._read())
        return self._info

    def remember(self) -> None:
        """Let no later command read the model files as long as they are as they are now."""
        info = self.info
        now = json.dumps({info.read_as: ReadModels(info.name, info.fingerprint, info.n_dims, info.licence)})
        if info.read_as and now != self._catalog.settings.get(MODELS_READ):
            with self._catalog.write():
                self._catalog.settings.set(MODELS_READ, now)

    def _read(self) -> Read:
        """Return what was read; what was put down in another shape, by another version or by hand, is as unread."""
        try:
            read = json.loads(self._catalog.settings.get(MODELS_READ) or "{}")
        except ValueError:
            return {}
        known = {read_as: _models_of(models) for read_as, models in read.items()} if isinstance(read, dict) else {}
        return {read_as: models for read_as, models in known.items() if models is not None}

    @property
    def runtime(self) -> str:
        """What runs its recogniser, by what is known without loading it; empty: there is no choice.

        Raises:
            EngineError: its files are absent, or the runtime of the settings cannot be used.
        """
        return "" if self._is_given else runtime_of(self.name, self.settings.options)

    def info_of(self, known: KnownEngine) -> EngineInfo:
        """Return what identifies an engine of the catalog.

        Raises:
            EngineError: its files are absent, or the settings want another one.
        """
        info = self.info
        if info.fingerprint != known.fingerprint:
            raise EngineError(
                f"the engine is being changed from {known.name} to {info.name}; `facewatch scan` ends that"
            )
        return info

    @property
    def id(self) -> int:
        """Its row in the catalog, which is made when it is asked for first."""
        if self._id is None and self._catalog.settings.get("engine") == self.info.name:
            # Nothing is written by those who only ask: it would look like a change to whoever watches.
            self._id = self._catalog.engines.known(self.info)
        if self._id is None:
            with self._catalog.write():
                self._id = self._catalog.engines.add(self.info, self._catalog.now())
                # A change that was asked for once is carried on by every later scan.
                self._catalog.settings.set("engine", self.info.name)
        return self._id

    @property
    def normalisation(self) -> Normalisation | None:
        """How similarities are normalised by strangers; None: they are taken as they come."""
        known = self.info.normalisation if self.settings.is_normalised else None
        return known and known.stricter(self.settings.strictness)

    def recipe(self) -> Recipe:
        """Return what workers need to know."""
        from facewatch.indexing.analyzer import Recipe

        return Recipe(
            engine=self.name,
            options=self.settings.options,
            max_pixels=self.settings.max_pixels,
            limits=self.limits_of(self.info),
        )

    def limits_of(self, info: EngineInfo) -> Limits:
        """Return where the tiers of an engine's faces end, with what the settings ask for."""
        from facewatch.quality import Limits

        limits = Limits.of(info)
        return replace(
            limits,
            needs=replace(
                limits.needs,
                match_pixels=self.settings.min_face_pixels or limits.needs.match_pixels,
                match_sharpness=self.settings.min_sharpness or limits.needs.match_sharpness,
            ),
            match_score=self.settings.min_confidence,
        )

    def in_use(self) -> EngineInUse:
        """Return the engine in use, without writing anything.

        Raises:
            NotKnownError: nothing was scanned yet.
            EngineError: what is known of it is not here, because its files are absent.
        """
        # Listed, all that each has analysed would be counted.
        known_id, name = self._catalog.engines.in_use_id(), self._catalog.engines.in_use_name()
        if known_id is None or name is None:
            raise NotKnownError(f"{self._catalog.path}: holds no face yet; `facewatch scan PHOTOS` finds them")
        switch = self.switch_progress()
        info = self.info if name == self.name else describe_engine(name, self.settings.options)
        return EngineInUse(known_id, info, switch.wanted if switch else None)

    def prune_others(self) -> int:
        """Free the vectors of engines that are neither in use nor wanted; returns how many they were.

        Raises:
            BusyError: a process scans or watches.
        """
        with self._catalog.run_lock("prune"):
            # By name: the files of the wanted one need not be here.
            keep = {e.id for e in self._catalog.engines.all() if e.is_in_use or e.name == self.name}
            with self._catalog.write():
                n_freed = self._catalog.engines.prune(keep)
            self._catalog.compact()
        return n_freed

    # --- the change to it ---

    @property
    def is_switch_under_way(self) -> bool:
        return self._catalog.engines.in_use_id() != self.id

    @property
    def is_switch_complete(self) -> bool:
        """Whether it is not in use yet and has analysed all that can be read."""
        return self.is_switch_under_way and not self.due(1)

    def check_is_in_use(self, what: str) -> None:
        """Refuse what needs its embeddings, while it is not in use yet.

        Raises:
            EngineError: the engine is being changed; what is in use is not the one that the settings want.
        """
        if self.is_switch_under_way:
            raise EngineError(
                f"the engine is being changed to {self.info.name}; `facewatch scan` analyses what is left, then {what}"
            )

    def due(self, most: int | None = None) -> dict[Path, list[str]]:
        """Return files, at most so many, by library, whose photos it has not analysed and that can be read now."""
        files: dict[Path, list[str]] = {}
        for photo in islice(self._readable(), most):
            files.setdefault(photo.root, []).append(photo.path)
        return files

    def _readable(self) -> Iterator[PendingPhoto]:
        seen = set(self._tried)
        for photo in self._catalog.engines.pending(self.id):
            if photo.photo_id not in seen and is_file(photo.root / photo.path):
                seen.add(photo.photo_id)
                yield photo

    def tried(self, root: Path, path: str) -> None:
        """This file was analysed, whatever came of it."""
        file = self._catalog.files.at(root / path)
        if file is not None and file.photo_id is not None:
            self._tried.add(file.photo_id)

    def switch_progress(self) -> SwitchProgress | None:
        """Return how far the change is, without writing anything; None: there is none."""
        engines, wanted = self._catalog.engines.all(), self.name
        before = next((engine for engine in engines if engine.is_in_use), None)
        if before is None:
            return None
        after = next((engine for engine in reversed(engines) if engine.name == wanted), None)
        # One name may stand for two engines: the same pack with other files, which came later.
        if before.name == wanted and (after is None or after.id <= before.id):
            return None
        n_photos = self._catalog.files.counts()["photos"]
        n_pending = self._catalog.engines.n_pending(after.id) if after else n_photos
        return SwitchProgress(before.name, wanted, n_photos - n_pending, n_photos)
