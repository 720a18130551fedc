"""Which sidecars there are to be, where, and what each is to say by the catalog."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facewatch.catalog import Catalog
from facewatch.catalog.metadata import MetadataRow, Way
from facewatch.catalog.named import NamedBox, PhotoPlace, PhotoShape
from facewatch.folders.sidecars import SUFFIX
from facewatch.people.sidecar_rules import Doubt, Written, left_out, names_of
from facewatch.regions import stored
from facewatch.regions.model import Region, Size
from facewatch.regions.orientation import area_of, box_of, to_stored, upright_size
from facewatch.regions.writing import WantedFace, WantedRegions


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

    def folders(self, libraries: Sequence[Path]) -> tuple[Path, ...]:
        """Return the folders that a watcher writes sidecars into."""
        return () if not self.is_on else tuple(libraries) if self.is_beside else (self.mirror,)


@dataclass(frozen=True, slots=True)
class Target:
    """A sidecar, and what it is to say."""

    place: PhotoPlace
    root: str
    """The folder below which it is; `path` is below that."""
    path: str
    shape: PhotoShape
    faces: tuple[NamedBox, ...]
    """Who is to be named in it, and where."""
    present: tuple[str, ...]
    """Who is to be named without a place."""
    rejected: tuple[NamedBox, ...]
    """Who is not to be named, whoever wrote that."""
    row: MetadataRow | None
    """What was written last; None: nothing."""
    is_away: bool
    """Whether the folder below which it is had sidecars and is not there: its drive is unplugged."""

    @property
    def photo(self) -> str:
        return f"{self.place.root}/{self.place.path}"

    @property
    def sidecar(self) -> str:
        return f"{self.root}/{self.path}"

    def wanted(self, *, trusts_files: bool = True) -> WantedRegions:
        """Return what it is to say; whether faces that a file gave somebody win over what it says now."""
        upright, orientation = Size(self.shape.width, self.shape.height), self.shape.orientation or 1
        size = upright_size(upright, orientation)
        faces = (
            WantedFace(
                box_of(to_stored(area_of(face.box, upright), orientation), size),
                face.name,
                is_confirmed=face.by_user or (face.by_file and trusts_files),
            )
            for face in self.faces
        )
        return WantedRegions(size, orientation, tuple(faces), self.present)

    @property
    def unwanted(self) -> tuple[Region, ...]:
        return replace(self, faces=self.rejected, present=()).wanted().said.regions

    @property
    def is_recorded(self) -> bool:
        """Whether what it is to say is what was written last."""
        said = left_out(self.wanted(), Doubt.of(self.row)).said
        if self.row is None:
            return not names_of(said) and not self.rejected
        return stored.to_json(Written.of(self.row).said) == stored.to_json(said)


@dataclass(eq=False)
class SidecarTargets:
    """The sidecars of all photos that the catalog says anything about, or has said."""

    catalog: Catalog
    settings: SidecarSettings
    describe: Callable[[Collection[int]], None]
    """Looks how these photos are turned, and records it."""

    def all(self, *, is_trial: bool) -> list[Target]:
        """Return them in the order of their paths; in a trial nothing is looked up, boxes may be turned."""
        with self.catalog.read():
            rows = self.catalog.metadata.all(Way.WRITTEN)
            faces = _by_photo(self.catalog.named.faces(with_runs=not self.settings.only_confirmed))
            rejected = _by_photo(self.catalog.named.rejected())
            present: dict[int, list[str]] = defaultdict(list)
            for photo_id, name in self.catalog.named.present():
                present[photo_id].append(name)
            photos = {*faces, *present, *rejected, *(photo_id for photo_id, _ in rows)}
            shapes = self.catalog.named.shapes(photos)
            places = self.catalog.named.places(photos)
        if not is_trial:
            shapes = self._described(shapes)
        labels, away = self._labels(), self._folders_away(path for _, path in rows)
        targets = []
        for place in places:
            photo_id = place.photo_id
            if photo_id in shapes:
                root, path = self._sidecar_of(place, labels)
                says = [tuple(found.get(photo_id, ())) for found in (faces, rejected)]
                words, row = tuple(present.get(photo_id, ())), rows.get((photo_id, f"{root}/{path}"))
                is_away = not self.settings.is_beside and labels[place.root_id] in away
                targets.append(Target(place, root, path, shapes[photo_id], says[0], words, says[1], row, is_away))
        return targets

    def _described(self, shapes: Mapping[int, PhotoShape]) -> dict[int, PhotoShape]:
        """Those of which it is known, now, how they are turned."""
        unknown = [photo_id for photo_id, shape in shapes.items() if shape.orientation is None]
        if unknown:
            self.describe(unknown)
        now = {**shapes, **self.catalog.named.shapes(unknown)}
        return {photo_id: shape for photo_id, shape in now.items() if shape.orientation is not None}

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


def _by_photo(faces: Iterable[NamedBox]) -> dict[int, list[NamedBox]]:
    found: dict[int, list[NamedBox]] = defaultdict(list)
    for face in faces:
        found[face.photo_id].append(face)
    return found
