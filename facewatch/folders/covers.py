"""Covers: a picture of the person in each folder, by a name for which other programs look. It means nothing when
somebody changes or moves it; what was changed, or is somebody else's, is left alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from facewatch.folders.apply import refusal
from facewatch.folders.disk import OpenedFolder, read_entry, remove_covers
from facewatch.folders.marks import marked
from facewatch.fs.atomic import rename_apart

_PART = ".facewatch.cover"


class CoverFiles:
    """The covers in the folders of people, opened; use it with `with`."""

    def __init__(self, opened: OpenedFolder, name: str) -> None:
        self._opened = opened
        self._name = name

    def outdated(self, wanted: Mapping[str, str]) -> list[str]:
        """Return the folders whose covers are not there, or are others than these, by folder; none where something
        else has the name."""
        return [folder for folder, key in wanted.items() if self._key_in(folder) not in (key, None)]

    def _key_in(self, folder: str) -> str | None:
        """Return the key of the cover in a folder; "": there is none, None: there can be none."""
        try:
            entry = read_entry(self._name, self._opened.enter(folder))
        except NotADirectoryError:
            return None
        return {"cover": entry.target, "other": ""}.get(entry.kind)

    def write(self, folder: str, jpeg: bytes, key: str, mode: int) -> None:
        """Put a cover with these rights into a folder, in the place of the one that was there.

        Raises:
            OSError: it cannot be written, or something else has the name.
        """
        top = self._opened.top
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_PART, dir_fd=top)
        handle = os.open(_PART, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=top)
        try:
            with os.fdopen(handle, "wb") as part:
                part.write(marked(jpeg, key))
            inside = self._opened.enter(folder)
            remove_covers(inside, (self._name,))
            rename_apart(_PART, self._name, old_fd=top, new_fd=inside)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(_PART, dir_fd=top)
            raise

    def remove(self, folders: Iterable[str]) -> None:
        """Remove the covers in these folders."""
        for folder in folders:
            with contextlib.suppress(NotADirectoryError):
                remove_covers(self._opened.enter(folder), (self._name,))


@contextmanager
def opened_covers(root: Path, name: str) -> Iterator[CoverFiles]:
    """Open the people folder for its covers of this name.

    Raises:
        FolderError: it is not there, or cannot be written.
    """
    try:
        with OpenedFolder(os.path.realpath(root)) as opened:
            yield CoverFiles(opened, name)
    except OSError as error:
        raise refusal(root, error) from error
