"""Whether a folder can be the people folder of a library."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path

from facewatch.errors import FolderError
from facewatch.folders.applying import UNSUPPORTED, LinkMaker, make_link, refusal, rename_apart
from facewatch.folders.model import LinkKind
from facewatch.folders.names import MARKER, PART

_PROBE = ".facewatch.probe"


def check_people_folder(
    root: Path,
    library_id: str,
    kind: LinkKind,
    *,
    sample: Path | None = None,
    make_link: LinkMaker = make_link,
) -> None:
    """Make the folder if it is not there, mark it as this library's, and try out that kind of link.

    Args:
        sample: a photo of the library, to try a hard link to; without it one inside the people folder is tried.

    Raises:
        FolderError: it belongs to another library, cannot be written, or cannot hold that kind of link.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        _write_marker(f"{root}/{PART}", f"{root}/{MARKER}", library_id)
    except OSError as error:
        raise refusal(root, error) from error
    _check_marker(root, library_id)
    target = f"{root}/{MARKER}" if kind != "symlink" else MARKER
    try:
        _try_link(kind, os.fspath(sample) if kind == "hardlink" and sample is not None else target, root, make_link)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise refusal(root, error) from error
        raise FolderError(f"{root}: {_link_fault(kind, error)}") from error


def _write_marker(part: str, marker: str, library_id: str) -> None:
    """Write the marker if there is none; the part is written always, which shows that the folder can be."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    with open(part, "x", encoding="utf-8") as file:
        json.dump({"program": "facewatch", "library": library_id}, file)
    if os.path.lexists(marker):
        os.unlink(part)
    else:
        rename_apart(part, marker)


def _check_marker(root: Path, library_id: str) -> None:
    marker = root / MARKER
    try:
        owner = json.loads(marker.read_text(encoding="utf-8"))["library"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{marker}: cannot be read: delete it if this is your people folder") from error
    if owner != library_id:
        raise FolderError(
            f"{root}: belongs to another library ({owner}; this one is {library_id}): "
            f"choose another people folder, or delete {marker} to hand it over"
        )


def _try_link(kind: LinkKind, target: str, root: Path, make_link: LinkMaker) -> None:
    probe = f"{root}/{_PROBE}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(probe)
    try:
        make_link(kind, target, probe)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(probe)


def _link_fault(kind: LinkKind, error: OSError) -> str:
    others = [f'"{other}"' for other in ("symlink", "hardlink", "copy") if other != kind]
    fault = f"cannot hold a {kind} ({error.strerror})"
    if error.errno == errno.EXDEV:
        fault = "hard links need the people folder and the library on one file system, and they are on two"
    return f"{fault}: set link = {' or '.join(others)}"
