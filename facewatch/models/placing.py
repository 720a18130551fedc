"""How a pack gets into its place: built beside it, then moved there as a whole, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from facewatch.errors import EngineError
from facewatch.fs.locks import is_file_of, take_lock, wait_for_lock
from facewatch.models.packs import MANIFEST, PackFile, megabytes, read_manifest

_CHUNK = 1 << 20
_ELSEWHERE = "or keep models elsewhere: `models` under [engine] in the settings"


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says while files are read and written into words.

    Raises:
        EngineError: the disk is full, or a file cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EngineError(f"{folder}: the disk is full; make room and start again, {_ELSEWHERE}") from error
        where = error.filename or folder
        raise EngineError(
            f"{where}: {error.strerror or error}; give facewatch the right to it, {_ELSEWHERE}"
        ) from error


@contextmanager
def locked(folder: Path, name: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the right to change a pack, which the kernel takes back from a process that dies.

    The models folder is made where it is missing. The lock's file is gone afterwards; that of a killed process stays
    and hinders nobody. `on_wait` is called when another process is at the same pack.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f".{name}.lock"
    handle = _lock(file, on_wait)
    try:
        yield
    finally:
        # Removed while it is held: who waits for it sees in `_lock` that it is no longer the one with this name.
        file.unlink(missing_ok=True)
        os.close(handle)


def _lock(file: Path, on_wait: Callable[[], None]) -> int:
    """Return a descriptor that holds the lock of the file which has this name now."""
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not take_lock(handle):
                on_wait()
                wait_for_lock(handle)
            if is_file_of(handle, file):
                return handle
        except BaseException:
            os.close(handle)
            raise
        # The one before removed it.
        os.close(handle)


@contextmanager
def scratch(folder: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder beside a pack; it is gone afterwards, also what a killed process left there.

    Only for the holder of the lock.
    """
    place = folder / f".{name}.tmp"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def put_in_place(built: Path, place: Path) -> None:
    """Move a pack that was built beside its place there.

    Where nothing is, that is one rename. Else its files are replaced, and other files that lie there are left alone;
    while that is done nothing is written down about the pack, so one that is torn is never taken for whole.
    """
    if not place.is_dir() or not any(place.iterdir()):
        built.rename(place)
        return
    names = sorted(path.name for path in built.iterdir())
    former = _former_files(place)
    (place / MANIFEST).unlink(missing_ok=True)
    for name in former - set(names):
        (place / name).unlink(missing_ok=True)
    for name in sorted(names, key=lambda name: name == MANIFEST):
        (built / name).replace(place / name)


def _former_files(place: Path) -> set[str]:
    try:
        former = read_manifest(place)
    except EngineError:
        return set()
    return {file.name for file in former.files} if former else set()


def copy_hashed(source: IO[bytes], target: Path) -> PackFile:
    """Copy a stream into a new file and return what was written; it is on the disk then."""
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as sink:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())
    return PackFile(target.name, size, digest.hexdigest())


def free_bytes(folder: Path) -> int:
    """Return how many bytes fit on the disk of a folder."""
    return shutil.disk_usage(folder).free


def check_room(folder: Path, needed: Sequence[int], free: Callable[[Path], int]) -> None:
    """See to it that files of these sizes fit before any is written.

    Raises:
        EngineError: they do not.
    """
    there = free(folder)
    if there < sum(needed):
        raise EngineError(
            f"{folder}: {megabytes(sum(needed))} are needed and {megabytes(there)} are free; make room, {_ELSEWHERE}"
        )
