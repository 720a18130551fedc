"""Files that a user names and a command writes: checked before the work, written as a whole, never into the photos."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from facewatch.errors import LibraryError
from facewatch.fs.atomic import replacing


def check_target(file: Path, *, suffix: str, photos: Iterable[Path]) -> None:
    """Refuse a file that could not be written when the work is done; `photos` are the folders that hold some.

    Raises:
        LibraryError: it has another suffix, is a folder, lies among the photos, or its folder cannot be written.
    """
    if file.suffix.lower() != suffix:
        raise LibraryError(f"{file}: its name must end in {suffix}, so that nothing else is written over by mistake")
    if file.is_dir():
        raise LibraryError(f"{file}: a folder; name a file in it, for example {file / ('evaluation' + suffix)}")
    if not file.absolute().parent.is_dir():
        raise LibraryError(f"{file}: there is no folder {file.absolute().parent}; make it, or name another")
    for folder in photos:
        if file.resolve().is_relative_to(folder.resolve()):
            raise LibraryError(f"{file}: lies among the photos of {folder}, which are only read; name another place")
    try:
        handle, name = tempfile.mkstemp(dir=file.absolute().parent, prefix=".facewatch-")
    except OSError as error:
        raise LibraryError(f"{file}: cannot be written: {error.strerror}; name another place") from error
    os.close(handle)
    Path(name).unlink()


@contextmanager
def written_at_once(file: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """Yield a new file to write, which takes the place of `file` when all went well, and vanishes when not.

    Raises:
        LibraryError: the folder cannot be written, or has no room.
    """
    try:
        with replacing(file, file.with_name(f".{file.name}.part-{os.getpid()}"), mode=mode) as part:
            yield part
    except OSError as error:
        raise LibraryError(f"{file}: cannot be written: {error.strerror}; name another place") from error
