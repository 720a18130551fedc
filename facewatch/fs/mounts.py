"""Which file system a path is on, and what that means: whether SQLite can live there, and whether the kernel reports
changes on it."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")

ANSWER_SECONDS = 3.0
"""How long a disk is waited for by who only wants to know whether it is there."""

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "ncpfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "webdav"}
)
"""Where SQLite's locks and shared memory cannot be trusted (sqlite.org/wal.html, "all processes on the same host")."""

_UNTOLD = NETWORK_FILE_SYSTEMS | {"virtiofs", "vboxsf", "prl_fs", "drvfs", "lustre", "gfs2", "ocfs2", "fuse"}
"""Where somebody else may change files without this kernel's knowing; so does every "fuse.…"."""


class Mount(Protocol):
    """A mounted file system, as psutil says it."""

    @property
    def mountpoint(self) -> str: ...

    @property
    def fstype(self) -> str: ...


class _KernelMount(NamedTuple):
    mountpoint: str
    fstype: str


_KERNEL_MOUNTS = Path("/proc/self/mounts")
"""Where Linux lists what is mounted. To import psutil for that takes 15 ms, and each command asks."""


def mounted(listed: Path = _KERNEL_MOUNTS) -> Sequence[Mount]:
    """Return all that is mounted here."""
    try:
        return [_kernel_mount(line) for line in listed.read_bytes().splitlines()]
    except (OSError, ValueError):
        import psutil

        return tuple(psutil.disk_partitions(all=True))


def _kernel_mount(line: bytes) -> _KernelMount:
    """Raises ValueError: it is no line of such a list."""
    # tmpfs /with\\040space tmpfs rw,relatime 0 0: blanks and backslashes in octal (proc_pid_mountinfo(5)).
    _, point, kind, _ = line.split(b" ", 3)
    return _KernelMount(os.fsdecode(_OCTAL.sub(lambda code: bytes([int(code[1], 8)]), point)), os.fsdecode(kind))


_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


def file_system_of(path: Path, mounts: Iterable[Mount] | None = None) -> str:
    """Return the kind of file system the path is on, by the longest mount point above it; "" when unknown."""
    resolved = path.resolve()
    best, kind = -1, ""
    for mount in mounted() if mounts is None else mounts:
        if resolved.is_relative_to(mount.mountpoint) and len(mount.mountpoint) >= best:
            best, kind = len(mount.mountpoint), mount.fstype
    return kind


def is_folder(path: Path) -> bool:
    """Whether there is a folder that can be reached; a mount that is dead, or stale, is none."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether there is a file that can be reached."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def is_network(kind: str) -> bool:
    """Whether SQLite loses data there."""
    return kind in NETWORK_FILE_SYSTEMS


def reports_changes(kind: str) -> bool:
    """Whether the kernel reports every change on such a file system.

    A FUSE mount reports what is done through it and not what happens behind it; "fuseblk" is a local disk (NTFS).
    """
    return kind not in _UNTOLD and not kind.startswith("fuse.")


class Asker:
    """Asks disks that may never answer, as a network drive whose server is away."""

    def __init__(self, seconds: float = ANSWER_SECONDS) -> None:
        self._seconds = seconds
        self._asked: dict[Path, threading.Thread] = {}

    def ask(self, disk: Path, question: Callable[[], T], *, otherwise: T) -> T:
        """Return the answer, or `otherwise` while the disk gives none; then it is left to itself, and asked again only
        when it has answered."""
        answers: list[T] = []
        before = self._asked.get(disk)
        if before is None or not before.is_alive():
            # A daemon: a process must be able to end although the kernel lets go of this one never.
            asked = threading.Thread(target=lambda: answers.append(question()), daemon=True)
            self._asked[disk] = asked
            asked.start()
            asked.join(self._seconds)
        return answers[0] if answers else otherwise


def mounts_above(root: Path, paths: Iterable[str]) -> set[str]:
    """Return the folders above these paths, below the root, on which another drive is mounted."""
    folders = {str(parent) for path in paths for parent in PurePosixPath(f"{path}x").parents} - {"."}
    return {folder for folder in folders if is_mount(root / folder)}


def is_mount(folder: Path) -> bool:
    """Whether a folder is on another device than the one it lies in."""
    try:
        return folder.lstat().st_dev != folder.parent.lstat().st_dev
    except OSError:
        return False
