"""Whether a folder can be the people folder of a library."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from facewatch.errors import FolderError
from facewatch.folders.apply import refusal
from facewatch.folders.disk import LinkMaker, OpenedFolder, make_link, opened_folder_of
from facewatch.folders.model import CALLED, LINK_KINDS, MARKER, PART, LinkKind
from facewatch.fs.atomic import UNSUPPORTED, exists, rename_apart, write_part
from facewatch.fs.beneath import open_file
from facewatch.fs.mounts import is_folder
from facewatch.text import printable

log = logging.getLogger(__name__)

_PROBE = ".facewatch.probe"

NEW_FOLDER = "name a new folder, or an empty one"

MAKE_AGAIN = "if it was deleted, facewatch folders makes it again"

MARK_AGAIN = (
    "if its disk is away, connect it. If it is your people folder, facewatch folders --repair marks it again and puts "
    "it back as it was, and facewatch folders --accept decides first what was changed in it by hand"
)

HAND_OVER = (
    "facewatch folders --take-over makes it this one's, and keeps the names of its folders; or choose another people "
    "folder (people under [library])"
)


def check_people_folder(
    root: Path,
    library_id: str,
    kind: LinkKind,
    *,
    instead: Collection[LinkKind] = (),
    sample: Path | None = None,
    make_link: LinkMaker = make_link,
) -> LinkKind:
    """Make the folder if it is not there, mark it as this library's, and return what kind of link it can hold: this
    one, or the first that it can of those that may be `instead`.

    Args:
        sample: a photo of the library, to try a hard link to, or a reflink of; without it one inside the people
            folder is tried.

    Raises:
        FolderError: it belongs to another library, cannot be written, or cannot hold such links.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        opened = OpenedFolder(os.fspath(root))
    except OSError as error:
        raise refusal(root, error) from error
    with opened:
        try:
            _write_marker(opened.top, library_id)
        except OSError as error:
            raise refusal(root, error) from error
        _check_marker(opened.top, root, library_id)
        try:
            _try_link(kind, sample, opened.top, make_link)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise refusal(root, error) from error
            others = [other for other in LINK_KINDS if _can_hold(other, sample, opened.top, make_link)]
            chosen = next((other for other in others if other in instead), None)
            if chosen is None:
                raise FolderError(f"{root}: {link_fault(kind, error, others)}") from error
            why = _refused(kind, error)
            log.warning("%s: %s, so photos get there as %s (link under [folders])", root, why, CALLED[chosen])
            return chosen
    return kind


def check_apart(root: Path, libraries: Iterable[Path], people: Path) -> None:
    """Refuse a folder for photos that lies in a library or the people folder, is one of these, or lies around it.

    Raises:
        FolderError: it does.
    """
    for library in libraries:
        if _overlap(root, library):
            raise FolderError(
                f"{root}: lies in the photos of {library}, which are only read, or around them: {NEW_FOLDER}"
            )
    if _overlap(root, people):
        raise FolderError(f"{root}: is the people folder ({people}), or lies in it or around it: {NEW_FOLDER}")


def _overlap(one: Path, other: Path) -> bool:
    """Whether two folders are one, or one lies in the other."""
    real = [os.path.realpath(one), os.path.realpath(other)]
    return os.path.commonpath(real) in real


@dataclass(frozen=True, slots=True)
class PlaceFault:
    """Why a folder is not, or not any more, the people folder of a library."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


def fault_of(root: Path, library_id: str, *, was_used: bool, libraries: Iterable[Path] = ()) -> PlaceFault | None:
    """Return what is wrong with a people folder, by reading alone; None: nothing, or it is still to be made.

    `was_used`: folders were made in it.
    """
    if (fault := fault_beside(root, libraries)) is not None:
        return fault
    name = printable(str(root))
    if not is_folder(root):
        if os.path.lexists(root):
            return PlaceFault(f"{name}: not a folder", "name another: people under [library] in the settings")
        return _absence(root, name, library_id) if was_used else None
    owner = owner_of(root)
    if owner == library_id or (owner is None and not was_used):
        return None
    if owner is None:
        return PlaceFault(f"{name}: its mark, the file {MARKER}, is gone; nothing is concluded from it", MARK_AGAIN)
    if not owner:
        what = f"{name}: its mark, the file {MARKER}, cannot be read; nothing is concluded from the folder"
        return PlaceFault(what, MARK_AGAIN)
    return PlaceFault(f"{name}: belongs to another catalog; nothing is concluded from it", HAND_OVER)


def fault_beside(root: Path, libraries: Iterable[Path]) -> PlaceFault | None:
    """Return why a folder cannot be the people folder of these libraries: it lies in one, or around it; None: it does
    not. The libraries, whose disks may not answer, are not looked at."""
    real = Path(os.path.realpath(root))
    for library in libraries:
        if real.is_relative_to(library) or library.is_relative_to(real):
            what = f"{printable(str(root))}: must lie beside the photos ({library}), not inside or around them"
            return PlaceFault(what, "name another: people under [library] in the settings")
    return None


def _absence(root: Path, name: str, library_id: str) -> PlaceFault:
    other = find_renamed([root.parent], library_id)
    if other not in (None, root):  # what cannot be reached by its own name may be by its folder's listing
        now = printable(str(other))
        what = f"{name}: it is not there, but {now} is marked as this library's people folder"
        return PlaceFault(what, f"if it was renamed, name it (--people {now}, or people under [library]); {MAKE_AGAIN}")
    return PlaceFault(f"{name}: it is not there, but folders were made in it", f"connect its disk; {MAKE_AGAIN}")


def find_renamed(parents: Iterable[Path], library_id: str) -> Path | None:
    """Return the one folder directly in these that is marked as this library's; None: none, or several."""
    found = set()
    for parent in set(parents):
        with contextlib.suppress(OSError), os.scandir(parent) as entries:
            folders = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
            found |= {folder for folder in folders if owner_of(folder) == library_id}
    return found.pop() if len(found) == 1 else None


def owner_of(root: Path) -> str | None:
    """Return whose people folder it says that it is; "": that cannot be read, None: it does not say so."""
    try:
        return str(json.loads((root / MARKER).read_text(encoding="utf-8"))["library"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _write_marker(top: int, library_id: str) -> None:
    """Write the marker if there is none; the part is written always, which shows that the folder can be."""
    # The state of a folder that is marked for the first time is none that any catalog has left.
    write_part(PART, _marker(library_id, ""), top, 0o666)
    if exists(MARKER, top):
        os.unlink(PART, dir_fd=top)
    else:
        rename_apart(PART, MARKER, old_fd=top, new_fd=top)


def _marker(library_id: str, state: str) -> str:
    return json.dumps({"program": "facewatch", "library": library_id, "state": state})


def state_of(root: Path) -> str | None:
    """Return what `set_state` wrote last; "": nothing since the folder was marked, None: an older facewatch marked it,
    or that cannot be read."""
    try:
        state = json.loads((root / MARKER).read_text(encoding="utf-8")).get("state")
    except (OSError, ValueError, AttributeError):
        return None
    return None if state is None else str(state)


def set_state(root: Path, library_id: str, state: str) -> None:
    """Write into the marker which state of the catalog the folder shows.

    Raises:
        FolderError: it cannot be written.
    """
    try:
        with OpenedFolder(os.fspath(root)) as opened:
            write_part(PART, _marker(library_id, state), opened.top, 0o666)
            os.rename(PART, MARKER, src_dir_fd=opened.top, dst_dir_fd=opened.top)
    except OSError as error:
        raise refusal(root, error) from error


def _check_marker(top: int, root: Path, library_id: str) -> None:
    marker = root / MARKER
    try:
        with os.fdopen(open_file(MARKER, top), encoding="utf-8") as file:
            owner = json.load(file)["library"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{marker}: cannot be read; {MARK_AGAIN}") from error
    if owner != library_id:
        raise FolderError(
            f"{root}: belongs to another library ({owner}; this one is {library_id}), perhaps to one whose catalog is "
            f"gone: {HAND_OVER}"
        )


def _try_link(kind: LinkKind, sample: Path | None, top: int, make_link: LinkMaker) -> None:
    """Make a link to the sample if that must be on the same file system, or else to the marker, and remove it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_PROBE, dir_fd=top)
    try:
        if sample is None or kind not in _ON_ONE_FILE_SYSTEM:
            make_link(kind, MARKER, _PROBE, target_fd=top, dir_fd=top)
        else:
            with opened_folder_of(os.fspath(sample)) as folder:
                make_link(kind, sample.name, _PROBE, target_fd=folder, dir_fd=top)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(_PROBE, dir_fd=top)


_ON_ONE_FILE_SYSTEM = ("hardlink", "reflink")


def _can_hold(kind: LinkKind, sample: Path | None, top: int, make_link: LinkMaker) -> bool:
    try:
        _try_link(kind, sample, top, make_link)
    except OSError:
        return False
    return True


def link_fault(kind: LinkKind, error: OSError, others: Iterable[LinkKind] = ("symlink", "hardlink", "copy")) -> str:
    """Return why a folder cannot hold that kind of link, and which of the others to set instead."""
    instead = " or ".join(f'"{other}"' for other in others if other != kind)
    return f"{_refused(kind, error)}: {f'set link = {instead}' if instead else 'choose another people folder'}"


def _refused(kind: LinkKind, error: OSError) -> str:
    if error.errno == errno.EXDEV and kind in _ON_ONE_FILE_SYSTEM:
        return f"{CALLED[kind]} need the folder and the library on one file system, and they are on two"
    return f"cannot hold a {kind} ({error.strerror})"
