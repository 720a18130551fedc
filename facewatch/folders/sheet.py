"""The contact sheet: a page at the top of the people folder that shows everybody; only one that bears our mark is ours.

It has the portrait of each person on a line of its own, so that somebody can be taken off without making it again.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

from facewatch.errors import FolderError
from facewatch.folders.apply import refusal
from facewatch.folders.disk import OpenedFolder
from facewatch.folders.model import MARKER, SHEET
from facewatch.fs.atomic import exists, rename_apart, write_part
from facewatch.fs.beneath import open_file

SHEET_MARK = '<meta name="generator" content="facewatch contact sheet"/>'
"""Stands near the beginning of a page of ours."""

_HEAD = 2000
"""Bytes in which the mark must be found."""
_PART = ".facewatch.sheet"


def portrait_start(person_id: int) -> str:
    """Return how the line with the portrait of this person begins."""
    return f'<article class="person" id="p{person_id}">'


def is_sheet(file: Path) -> bool:
    """Whether this is a contact sheet; a link to one is none."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(handle).st_mode) and SHEET_MARK.encode() in os.read(handle, _HEAD)
    finally:
        os.close(handle)


def write_sheet(root: Path, page: str) -> Path:
    """Write the page for its owner only, as a whole or not at all, and return where it is.

    Raises:
        FolderError: the folder is gone or cannot be written, or something that is not ours has the name.
    """
    try:
        with OpenedFolder(os.path.realpath(root)) as opened:
            if not exists(MARKER, opened.top):
                raise FileNotFoundError(os.strerror(2))
            _write(opened.top, root / SHEET, page)
    except FileExistsError as error:
        raise FolderError(f"{root / SHEET}: not facewatch's, so it stays as it is: rename or move it") from error
    except OSError as error:
        raise refusal(root, error) from error
    return root / SHEET


def _write(top: int, file: Path, page: str) -> None:
    try:
        write_part(_PART, page, top, 0o600)
        if is_sheet(file):
            os.replace(_PART, SHEET, src_dir_fd=top, dst_dir_fd=top)
        else:
            rename_apart(_PART, SHEET, old_fd=top, new_fd=top)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_PART, dir_fd=top)
        raise


def drop_from_sheet(root: Path, people: Collection[int]) -> None:
    """Take these people off the sheet, if there is one.

    Raises:
        FolderError: it cannot be written.
    """
    if not is_sheet(root / SHEET):
        return
    starts = tuple(map(portrait_start, people))
    with OpenedFolder(os.path.realpath(root)) as opened, os.fdopen(open_file(SHEET, opened.top), "rb") as file:
        lines = file.read().decode("utf-8", errors="replace").split("\n")
    left = [line for line in lines if not line.startswith(starts)]
    if len(left) < len(lines):
        write_sheet(root, "\n".join(left))


def remove_sheet(root: Path) -> None:
    """Remove the sheet, if there is one."""
    if is_sheet(root / SHEET):
        with contextlib.suppress(OSError):
            (root / SHEET).unlink()
