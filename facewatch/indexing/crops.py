"""Faces cut out of their photos, and a folder that keeps them. The photos are opened by a worker process.

Crops        face         -> path of a JPEG       kept beside the catalog; may be deleted at any time
Album        face         -> data: URI of a JPEG  for a page that is one file
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from facewatch.catalog import display
from facewatch.errors import EngineError, PhotoError
from facewatch.fs import sidecar
from facewatch.fs.atomic import replacing
from facewatch.fs.sidecar import beside
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.pool import CropWorkers
from facewatch.indexing.worker import WorkerLost
from facewatch.types import Box, Fingerprint

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

SIDE = 192
"""Pixels of a kept crop: six lines of text on an ordinary screen take 96, on a fine one twice that."""

PAGE_SIDE = 112
"""Pixels of a crop inside a page; 96 are shown, telephones show more for one."""

MOST = 2000
"""How many crops are kept: about 20 MB."""

MOST_LOST = 3
"""How many photos may end their worker before no other one is opened: somebody waits for each of them."""

CUT_SECONDS = 30.0
"""How long cutting faces out of one photo may take, because somebody waits for it: it takes a tenth of a second, one of
200 megapixels four, and a disk that has to wake up ten."""

NO_ENGINE = "cutting out faces"
"""What stands in the place of an engine's name: the worker loads none."""


# --- in the main process ---


def picture_of(crop: Path | None) -> Image.Image | None:
    """Return a crop that was cut; None: there is none, or it is gone."""
    from PIL import Image

    with contextlib.suppress(OSError):
        if crop is not None:
            with Image.open(crop) as picture:
                return picture.convert("RGB")
    return None


@dataclass(frozen=True, slots=True)
class Source:
    """A file to cut faces from."""

    file: LibraryFile
    expected: Fingerprint | None = None
    """As it was when its faces were found: if it is not that any more, nothing is cut. None: nobody knows."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A crop that the worker makes, or has made."""

    source: Source
    future: Future[list[bytes | None]]
    """The crops of one photo."""
    number: int
    """Which of these it is."""


class Crops:
    """Faces as JPEG files in a private folder beside the catalog.

    The folder holds nothing that cannot be made again from the photos. Where it cannot be written the crops lie in a
    temporary folder, which `close` removes. Belongs to one thread.
    """

    def __init__(
        self,
        catalog: Path,
        cutter: CropWorkers | None = None,
        *,
        most: int = MOST,
        make_temporary: Callable[[], str] = lambda: tempfile.mkdtemp(prefix="facewatch-crops-"),
    ) -> None:
        """`cutter` makes what is not kept, without one nobody does; `make_temporary` returns a new folder that only
        this user can read, or raises OSError."""
        self._cutter = cutter
        self.folder = beside(catalog, sidecar.CROPS)
        self._most = most
        self._make_temporary = make_temporary
        self._temporary: Path | None = None
        self._begun: dict[str, _Begun] = {}
        """By the name of the crop."""
        self._hopeless: set[LibraryFile] = set()
        """Photos that cannot be decoded: they are not asked for again."""
        self._absent: set[str] = set()
        """Names of crops of faces that lie outside their photos."""
        self._n_lost = 0

    def __enter__(self) -> Crops:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary folder, if one had to be made."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def forget(self, faces: Iterable[int]) -> None:
        """Remove the crops of these faces."""
        gone = {str(face_id) for face_id in faces}
        for crop in self.folder.glob("*.jpg"):
            if crop.name.partition("-")[0] in gone:
                crop.unlink(missing_ok=True)

    def begin(self, source: Source, boxes: Mapping[int, Box]) -> None:
        """Have the crops of these faces (by their ids) of one photo made meanwhile, as far as they are not kept."""
        if self._cutter is None or source.file in self._hopeless or self._n_lost >= MOST_LOST:
            return
        names = {_name(face_id, source.file, box): box for face_id, box in boxes.items()}
        wanted = [name for name in names if name not in self._begun and name not in self._absent]
        absent = [name for name in wanted if self._kept(name) is None]
        if absent:
            future = self._cutter.cut_faces(source.file, [names[name] for name in absent], source.expected, side=SIDE)
            self._begun |= {name: _Begun(source, future, number) for number, name in enumerate(absent)}

    def put_off(self) -> None:
        """Take back what was begun and the worker has not come to: something else is wanted first."""
        self._begun = {name: begun for name, begun in self._begun.items() if not begun.future.cancel()}

    def paths_of(self, source: Source, boxes: Mapping[int, Box]) -> dict[int, Path | None]:
        """Return a JPEG of each face (by its id) of one photo, which is decoded once, and only for those not kept.

        A kept crop serves while the photo is away. None: there is none and none can be made.
        """
        names = {face_id: _name(face_id, source.file, box) for face_id, box in boxes.items()}
        self.begin(source, boxes)
        has_made = any(name in self._begun for name in names.values())
        paths = {face_id: self._path(name) for face_id, name in names.items()}
        if has_made:
            self._prune(set(names.values()))
        return paths

    def _path(self, name: str) -> Path | None:
        begun = self._begun.pop(name, None)
        jpeg = self._made(name, begun) if begun else None
        return self._keep(name, jpeg) if jpeg else self._kept(name)

    def _made(self, name: str, begun: _Begun) -> bytes | None:
        """Wait for a crop; a photo whose faces cannot be cut is not asked for again, unless it is only away."""
        file = begun.source.file
        if file in self._hopeless:
            return None  # said already, about another of its faces
        try:
            jpeg = begun.future.result()[begun.number]
        except OSError as error:
            log.debug("%s: no face is cut from it: %s", display(os.fspath(file)), error)
            return None
        except (PhotoError, WorkerLost, EngineError) as error:
            log.debug("%s: no face is cut from it: %s", display(os.fspath(file)), error)
            self._hopeless.add(file)
            if not isinstance(error, PhotoError):
                self._count_loss(error)
            return None
        if jpeg is None:
            self._absent.add(name)
        return jpeg

    def _count_loss(self, error: WorkerLost | EngineError) -> None:
        self._n_lost += 1
        if self._n_lost == MOST_LOST:
            log.warning("no more faces are cut out of photos, after %d workers were lost: %s", MOST_LOST, error)

    def _folders(self) -> list[Path]:
        return [self.folder] if self._temporary is None else [self.folder, self._temporary]

    def _kept(self, name: str) -> Path | None:
        return next((folder / name for folder in self._folders() if _has_content(folder / name)), None)

    def _keep(self, name: str, jpeg: bytes) -> Path | None:
        for folder in (self._beside, self._elsewhere):
            with contextlib.suppress(OSError):
                crop = folder() / name
                with replacing(crop) as file:
                    file.write(jpeg)
                return crop
        return None

    def _beside(self) -> Path:
        """The folder beside the catalog, made if need be.

        Raises:
            OSError: it cannot be made, or somebody else's or a link is in its place.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        status = self.folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError(f"{self.folder}: not a folder of our own")
        if stat.S_IMODE(status.st_mode) != 0o700:
            self.folder.chmod(0o700)
        return self.folder

    def _elsewhere(self) -> Path:
        if self._temporary is None or not self._temporary.is_dir():
            self._temporary = Path(self._make_temporary())
        return self._temporary

    def _prune(self, spared: Collection[str]) -> None:
        """Delete what was made longest ago and is too much, but none of `spared`: they are about to be shown."""
        for folder in self._folders():
            for path in _by_age(folder)[: -self._most or None]:
                if path.name not in spared:
                    with contextlib.suppress(OSError):
                        path.unlink()


def _name(face_id: int, file: LibraryFile, box: Box) -> str:
    """The name of a crop. Where the photo is belongs to it: a new catalog counts its faces from 1 again."""
    place = hashlib.sha256(os.fsencode(file)).hexdigest()[:12]
    turn = f"-{box.turn}" if box.turn else ""
    return f"{face_id}-{box.x}-{box.y}-{box.w}-{box.h}{turn}-{place}.jpg"


def _has_content(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def _by_age(folder: Path) -> list[Path]:
    """The files of a folder, oldest first; none when it is gone. Another process may delete meanwhile."""
    ages = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                ages.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
    return [path for _, path in sorted(ages)]


@dataclass(slots=True)
class Album:
    """Faces as pictures that stand inside a page, each cut out once."""

    cutter: CropWorkers
    _crops: dict[tuple[str, Box], str | None] = field(default_factory=dict)
    _hopeless: set[str] = field(default_factory=set)
    """Photos that are not asked for again."""

    def uri(self, file: str, box: Box) -> str | None:
        """Return a face as a data: URI of a JPEG; None when the photo cannot be opened any more.

        Args:
            file: an absolute path that no link is part of; whatever photo is there now is cut.
        """
        if (file, box) not in self._crops:
            self._crops[file, box] = self._cut(file, box)
        return self._crops[file, box]

    def _cut(self, file: str, box: Box) -> str | None:
        if file in self._hopeless:
            return None
        photo = LibraryFile("/", file.lstrip("/"))
        try:
            (jpeg,) = self.cutter.cut_faces(photo, [box], None, side=PAGE_SIDE).result()
        except (OSError, PhotoError, WorkerLost, EngineError) as error:
            log.debug("%s: no face is cut from it: %s", display(file), error)
            self._hopeless.add(file)
            return None
        return None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
