"""Pictures that were made of faces and photos, kept beside the catalog; all may be deleted at any time.

Their folder is divided in shards by the ids of faces and photos, each with its share of the space: what is too much in
one is found by listing that one, and all pictures of a face are found so, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from facewatch.fs import sidecar
from facewatch.fs.atomic import replacing
from facewatch.fs.beneath import open_beneath
from facewatch.fs.sidecar import beside
from facewatch.types import Box

VERSION = 1
"""Raise it whenever pictures are made in another way: what is kept is then made again."""

MB = 1_000_000

MOST_BYTES = 2000 * MB
"""Space for all pictures, if nobody says how much: 100,000 faces take 800 MB, a photo to fill the window with 0.3."""

N_SHARDS = 64
"""A shard that is full has some thousand pictures, which are listed in some milliseconds."""

TOUCHED_SECONDS = 86_400.0
"""How old the time of the last use may become before it is renewed: a write for each reading would be too many."""

SPARED_SECONDS = 60.0
"""What was made or used within this time is not deleted for others: somebody is about to look at it."""

_CHECKED_SHARE = 0.1
"""How much of a shard's space may be written until it is listed again."""


@dataclass(frozen=True, slots=True)
class PictureName:
    """What tells a picture from all others, also from one of the same id in another catalog or before an edit."""

    id: int
    """Of the face or photo."""
    is_face: bool
    side: int
    """Its longer side in pixels, at most."""
    digest: str
    """Of all that decides how it looks, in hexadecimal digits: a different photo, box or turn has another."""

    def __str__(self) -> str:
        return f"{_prefix(self.id, is_face=self.is_face)}{self.side}-{self.digest}.jpg"


def face_name(face_id: int, photo_sha256: bytes, box: Box, side: int) -> PictureName:
    """Return the name of the picture of a face, cut from the photo with this content."""
    return PictureName(face_id, True, side, _digest(photo_sha256, box.x, box.y, box.w, box.h, box.turn))


def photo_name(photo_id: int, photo_sha256: bytes, side: int) -> PictureName:
    return PictureName(photo_id, False, side, _digest(photo_sha256))


def _digest(photo_sha256: bytes, *numbers: int) -> str:
    return hashlib.sha256(repr((VERSION, photo_sha256, numbers)).encode()).hexdigest()[:16]


def _prefix(number: int, *, is_face: bool) -> str:
    return f"{'f' if is_face else 'p'}{number}-"


class PictureStore:
    """Pictures as files in a private folder beside the catalog, those used longest ago deleted when there are too many.

    Any number of threads and processes may use it at once. Where the folder cannot be written, the pictures lie in a
    temporary one, which `close` removes. No link is followed.
    """

    def __init__(
        self,
        catalog: Path,
        *,
        most_bytes: int = MOST_BYTES,
        make_temporary: Callable[[], str] = lambda: tempfile.mkdtemp(prefix="facewatch-pictures-"),
    ) -> None:
        """`make_temporary` returns a new folder that only this user can read, or raises OSError."""
        self.folder = beside(catalog, sidecar.CROPS)
        self._share = most_bytes // N_SHARDS
        self._make_temporary = make_temporary
        self._temporary: Path | None = None
        self._lock = threading.Lock()
        self._unlisted: dict[Path, int] = {}
        """Bytes written to a shard since it was listed last; a shard that is not there never was."""

    def close(self) -> None:
        """Remove the temporary folder, if one had to be made."""
        with self._lock:
            temporary, self._temporary = self._temporary, None
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)

    def read(self, name: PictureName) -> bytes | None:
        """Return a picture, a JPEG; None: it is not there."""
        for folder in self._folders():
            with contextlib.suppress(OSError), _opened(folder, _place(name)) as file:
                jpeg = file.read()
                if jpeg:
                    _touch(file.fileno())
                    return jpeg
        return None

    def path_of(self, name: PictureName) -> Path | None:
        """Return where a picture is; None: it is not there."""
        for folder in self._folders():
            with contextlib.suppress(OSError), _opened(folder, _place(name)) as file:
                if os.fstat(file.fileno()).st_size:
                    _touch(file.fileno())
                    return folder / _place(name)
        return None

    def ticket(self) -> str:
        """Return what `keep` wants to have; to be taken before the catalog is asked what may be shown."""
        try:
            with _opened(self.folder, _FORGOTTEN) as file:
                return file.read().decode("ascii", "replace")
        except OSError:
            return ""

    def keep(self, name: PictureName, jpeg: bytes, ticket: str) -> Path | None:
        """Keep a picture and return where it is; None: it cannot be written, or something was forgotten since the
        ticket was taken, which this might be of."""
        for folder in (self._beside, self._elsewhere):
            with contextlib.suppress(OSError):
                shard = _private(folder() / _shard(name.id))
                path = shard / str(name)
                with replacing(path) as file:
                    file.write(jpeg)
                # Only now: whatever is forgotten from here on is deleted by who forgets it.
                if self.ticket() != ticket:
                    path.unlink(missing_ok=True)
                    return None
                self._count(shard, len(jpeg))
                return path
        return None

    def forget(self, *, faces: Collection[int] = (), photos: Collection[int] = ()) -> None:
        """Delete all pictures of these faces and photos, and let none be kept that is being made of them now.

        To be called when the catalog has forgotten them.
        """
        self._bump()
        gone: dict[str, set[str]] = defaultdict(set)
        for ids, is_face in ((faces, True), (photos, False)):
            for number in ids:
                gone[_shard(number)].add(_prefix(number, is_face=is_face))
        for folder in self._folders():
            if _is_ours(folder):
                _remove_stray(folder)
                for shard, prefixes in gone.items():
                    _remove(folder / shard, prefixes)

    def _bump(self) -> None:
        how = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            contextlib.suppress(OSError),
            os.fdopen(os.open(self._beside() / _FORGOTTEN, how, 0o600), "wb", buffering=0) as file,
        ):
            # In place: whatever a kill leaves of it is not what was there before, and nothing is left beside it.
            file.write(secrets.token_hex(8).encode("ascii"))

    def _folders(self) -> list[Path]:
        temporary = self._temporary
        return [self.folder] if temporary is None else [self.folder, temporary]

    def _beside(self) -> Path:
        """The folder beside the catalog, made if need be.

        Raises:
            OSError: it cannot be made, or somebody else's or a link is in its place.
        """
        return _private(self.folder)

    def _elsewhere(self) -> Path:
        with self._lock:
            if self._temporary is None or not self._temporary.is_dir():
                self._temporary = Path(self._make_temporary())
            return self._temporary

    def _count(self, shard: Path, n_bytes: int) -> None:
        """Delete what is too much, from time to time."""
        with self._lock:
            unlisted = self._unlisted.get(shard)
            is_due = unlisted is None or unlisted + n_bytes > self._share * _CHECKED_SHARE
            self._unlisted[shard] = 0 if is_due else (unlisted or 0) + n_bytes
        if is_due:
            if unlisted is None:
                _remove_stray(shard.parent)
            _prune(shard, int(self._share * (1 - _CHECKED_SHARE)))


_FORGOTTEN = "forgotten"
"""A file whose content is another one each time that something is forgotten."""


def _shard(number: int) -> str:
    return f"{number % N_SHARDS:02x}"


def _private(folder: Path) -> Path:
    """Return a folder of ours that only we can read, made if need be.

    Raises:
        OSError: it cannot be made, or somebody else's or a link is in its place.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_ours(folder):
        raise PermissionError(f"{folder}: not a folder of our own")
    if stat.S_IMODE(folder.lstat().st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def _is_ours(folder: Path) -> bool:
    """Whether there is a folder of this user; a link to one is none."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _place(name: PictureName) -> str:
    """Where a picture is below the folder."""
    return f"{_shard(name.id)}/{name}"


def _opened(folder: Path, path: str) -> BinaryIO:
    """Open a file below a folder of ours for reading.

    Raises:
        OSError: it is not there, or a link is on the way.
    """
    if not _is_ours(folder):
        raise FileNotFoundError(folder)
    return open(open_beneath(str(folder), path), "rb")  # noqa: PTH123 - a descriptor, not a path


def _touch(handle: int) -> None:
    """Note that a picture is used, if that has not been noted for long."""
    now = time.time()
    if now - os.fstat(handle).st_mtime > TOUCHED_SECONDS:
        with contextlib.suppress(OSError):
            os.utime(handle, (now, now))


def _remove_stray(folder: Path) -> None:
    """Delete what versions before this one kept in the folder itself."""
    with contextlib.suppress(OSError):
        for path in folder.glob("*.jpg"):
            path.unlink()


def _remove(shard: Path, prefixes: Collection[str]) -> None:
    """Delete the pictures whose names begin so; the first "-" ends a beginning."""
    if not _is_ours(shard):
        return
    with contextlib.suppress(OSError), os.scandir(shard) as entries:
        for entry in entries:
            if f"{entry.name.partition('-')[0]}-" in prefixes:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def _prune(shard: Path, most_bytes: int) -> None:
    """Delete what was used longest ago until no more than so many bytes are left, but nothing of the last minute."""
    spared_ns = int((time.time() - SPARED_SECONDS) * 1e9)
    n_bytes = 0
    for used_ns, size, path in sorted(_listed(shard), reverse=True):
        n_bytes += size
        if n_bytes > most_bytes and used_ns < spared_ns:
            with contextlib.suppress(OSError):
                path.unlink()


def _listed(shard: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield when each file was used, its size and path. Another process may delete meanwhile."""
    with contextlib.suppress(OSError), os.scandir(shard) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                yield status.st_mtime_ns, status.st_size, Path(entry.path)
