"""The people folder by descriptors: what is done in it happens in it, whoever puts a link in the place of a folder."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from facewatch.folders.names import UNNAMED
from facewatch.fs import beneath

_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK}


@dataclass(frozen=True, slots=True)
class _Folder:
    """An opened folder."""

    handle: int
    identity: tuple[int, int]
    """Its device and inode, which no other has while it is open."""


class OpenedFolder:
    """The people folder, opened, with those folders in it that were entered last. Close it, or use it with `with`."""

    def __init__(self, root: str) -> None:
        """Open the people folder, which may be a link.

        Raises:
            OSError: it is not there, or cannot be entered.
        """
        self.top = beneath.open_folder_beneath(root, "")
        self._open: dict[str, _Folder] = {}

    def __enter__(self) -> OpenedFolder:
        return self

    def __exit__(self, *_: object) -> None:
        for path in list(self._open):
            self._close(path)
        os.close(self.top)

    def enter(self, path: str) -> int:
        """Return a descriptor of the folder that has this path now ("": the people folder); for use until the next.

        That of the unnamed stays: people move out of it and into it.

        Raises:
            NotADirectoryError: there is none, or a link has its place.
            OSError: it cannot be entered.
        """
        if not path:
            return self.top
        if not self.is_in_place(path):
            self._open[path] = self._entered(path)
        return self._open[path].handle

    def is_in_place(self, path: str) -> bool:
        """Whether the folder that was entered last by this path has it still."""
        if not path:
            return True
        parent, _, name = path.rpartition("/")
        folder = self._open.get(path)
        if folder is None or not self.is_in_place(parent):
            return False
        try:
            return _identity(os.stat(name, dir_fd=self._handle(parent), follow_symlinks=False)) == folder.identity
        except OSError:
            return False

    def _entered(self, path: str) -> _Folder:
        parent, _, name = path.rpartition("/")
        above = self.enter(parent)
        for other in self._open.keys() - {parent, UNNAMED} | self._open.keys() & {path}:
            self._close(other)
        try:
            handle = beneath.enter(name, above)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                raise NotADirectoryError(errno.ENOTDIR, f"{path} is not a folder") from error
            raise
        return _Folder(handle, _identity(os.fstat(handle)))

    def _handle(self, path: str) -> int:
        return self._open[path].handle if path else self.top

    def _close(self, path: str) -> None:
        os.close(self._open.pop(path).handle)


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino
