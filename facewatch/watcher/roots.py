"""One library that is watched: how it is listened to, what was heard of it, and when to look at it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from facewatch.config import Config
from facewatch.fs.beneath import look_below
from facewatch.fs.mounts import file_system_of, is_folder, tells_changes
from facewatch.library.scan import Rules
from facewatch.watcher.debounce import SettleQueue
from facewatch.watcher.events import EventSource, Heard

if sys.platform == "linux":
    from facewatch.watcher.inotify import InotifySource as PlatformSource
else:
    from facewatch.watcher.observer import ObserverSource as PlatformSource

log = logging.getLogger(__name__)

OFFLINE_SECONDS = 15.0
"""How often a library that is not there is looked for."""

LOOK_SHARE = 0.05
"""Polling may take this share of the time: a large network drive is looked at less often than `poll_seconds` says."""

URGENT_SHARE = 0.25
"""The same for looks that lost events make necessary."""

RETRY_SECONDS = 600.0
"""How often files that could not be read are tried again, where nothing tells that they can be."""

MOST_FOLDERS = 500
"""Folders to look at, above which one look at everything is quicker."""


class Watched:
    """One root. What it is asked to do is done at once; when, the loop decides."""

    def __init__(
        self,
        root: Path,
        rules: Rules,
        config: Config,
        clock: Callable[[], float],
        *,
        kind_of: Callable[[Path], str] = file_system_of,
    ) -> None:
        """`kind_of` says on which kind of file system a folder is."""
        self.root = root
        self._rules = rules
        self._clock = clock
        self._kind_of = kind_of
        self._settle_seconds: float = config["watch.settle_seconds"]
        self._removal_seconds: float = config["watch.removal_seconds"]
        self._scan_seconds: float = 60.0 * config["watch.scan_minutes"]
        self._poll_seconds: float = config["watch.poll_seconds"]
        self._is_polling: bool = config["watch.poll"] == "always"
        self.seen = look_below(root)
        """Gives the fingerprint of a file below the root, None where there is none."""
        self.queue = self._new_queue()
        self.source: EventSource | None = None
        self._look_at = clock()
        """When to compare all of it with the catalog again, whatever was heard."""
        self._poll_at = clock()
        """When to look at the folders again that cannot be listened to."""
        self._retry_at = clock()
        self._folders: dict[str, float] = {}
        """Folders that something happened to, and when to look at them."""
        self._looked = (clock(), 0.0)
        """When the last look at everything ended, and how long it took."""
        self._untold: frozenset[str] = frozenset()
        """Folders on which a drive is mounted that does not tell of changes."""
        self.why_polled = ""
        """Why the whole library is looked at again and again; empty: it is listened to."""
        self.offline = ""
        """Why it is not there; empty: it is."""

    def _new_queue(self) -> SettleQueue:
        return SettleQueue(
            self.seen,
            settle_seconds=self._settle_seconds,
            removal_seconds=self._removal_seconds,
        )

    # --- listening ---

    def listen(self) -> None:
        """Listen to the kernel; where it refuses, or would not hear all, look again and again instead."""
        self.close()
        self.why_polled = self._why_not_listen()
        if not self.why_polled:
            try:
                source = PlatformSource(self.root, skips=lambda folder: self._rules.skips(folder, self.root))
                source.start()
                self.source = source
            except OSError as error:
                self.why_polled = f"the kernel cannot report changes ({error.strerror or error})"
        if self.source is None:
            log.info("%s: looking again and again: %s", self.root, self.why_polled)
        elif self.source.unwatched:
            log.warning(
                "%s: %d folder(s) are looked at again and again: %s",
                self.root,
                len(self.source.unwatched),
                self.source.fault,
            )
        else:
            log.info("%s: watching", self.root)

    def _why_not_listen(self) -> str:
        if self._is_polling:
            return 'watch.poll = "always"'
        if not is_folder(self.root):
            return "it is not there"
        kind = self._kind_of(self.root)
        return "" if tells_changes(kind) else f"a {kind} file system does not tell of changes"

    def complete(self) -> None:
        """Listen also to folders that could not be listened to before; asked for before a look at everything."""
        if self.source and self.source.is_closed:
            self.listen()
        elif self.source:
            self.source.complete()

    def close(self) -> None:
        """Listen no more."""
        if self.source:
            self.source.close()
            self.source = None

    def take(self, timeout: float) -> Heard:
        """Return what was heard since, after at most this many seconds."""
        return self.source.take(timeout) if self.source else Heard(frozenset(), frozenset())

    @property
    def polled(self) -> dict[str, str]:
        """What is looked at again and again, and why."""
        if self.why_polled:
            return {str(self.root): self.why_polled}
        fault = (self.source.fault if self.source else None) or ""
        reasons = dict.fromkeys(self.source.unwatched if self.source else (), fault)
        reasons |= dict.fromkeys(self._untold, "the drive that is mounted there does not tell of changes")
        return {f"{self.root}/{folder}": reason for folder, reason in reasons.items()}

    # --- what was heard, and when to look ---

    def hear(self, heard: Heard) -> None:
        now = self._clock()
        for path in heard.files:
            if self._rules.allows(path, self.root):
                self.queue.hear(path, now)
        for folder in heard.folders:
            # Half of it, so that a folder and its files are settled together.
            self._folders.setdefault(folder, now + self._settle_seconds / 2)
        if heard.is_overflown:
            log.warning("%s: more happened than the kernel could tell; looking at everything", self.root)

    def due(self) -> list[str]:
        """Return the folders to look at now; "" is everything, and then it is the only one."""
        now = self._clock()
        is_asked = "" in self._folders or len(self._folders) > MOST_FOLDERS
        ended, took = self._looked
        if now >= self._look_at or (is_asked and now >= max(min(self._folders.values()), ended + took / URGENT_SHARE)):
            return [""]
        folders = [folder for folder, at in self._folders.items() if folder and now >= at and not is_asked]
        for folder in folders:
            del self._folders[folder]
        if now >= self._poll_at and self._polled_folders:
            self._poll_at = now + self._poll_seconds
            folders += self._polled_folders
        return _outermost(folders)

    @property
    def _polled_folders(self) -> frozenset[str]:
        return self._untold | (self.source.unwatched if self.source else frozenset())

    def look_soon(self) -> None:
        """Compare all of it with the catalog as soon as may be."""
        self._folders.setdefault("", self._clock())

    def look_later(self, seconds: float) -> None:
        """What was taken from the queue and not recorded is found again by a look after this time."""
        self._look_at = self._clock() + seconds

    @property
    def is_retry_due(self) -> bool:
        """Whether files that could not be read are to be tried again by this look; asking counts as doing it."""
        is_due = self._clock() >= self._retry_at
        if is_due:
            self._retry_at = self._clock() + RETRY_SECONDS
        return is_due

    def looked(self, below: str, took: float, mounts: Iterable[str] = ()) -> None:
        """A look ended that took so many seconds; where it was at everything, it saw these drives mounted below."""
        now = self._clock()
        if below:
            self._poll_at = max(self._poll_at, now + took / LOOK_SHARE)
            return
        self._folders.clear()
        self._looked = (now, took)
        self._look_at = now + (self._scan_seconds if self.source else max(self._poll_seconds, took / LOOK_SHARE))
        self._untold = frozenset(mount for mount in mounts if not tells_changes(self._kind_of(self.root / mount)))

    # --- there or not ---

    def lose(self, reason: str, took: float) -> None:
        """It is not there: what was heard of it means nothing, and what was listened to is elsewhere, or nowhere."""
        if not self.offline:
            log.warning("%s", reason)
        self.offline = reason.removeprefix(f"{self.root}: ").removesuffix(" Nothing was removed").rstrip(".")
        self.close()
        self.queue = self._new_queue()
        self._folders.clear()
        self._look_at = self._clock() + max(OFFLINE_SECONDS, took / LOOK_SHARE)

    def find(self) -> None:
        """It is there again."""
        log.info("%s: back again", self.root)
        self.offline = ""
        self.listen()


def _outermost(folders: Iterable[str]) -> list[str]:
    """Return the folders that lie in none of the others."""
    found: list[str] = []
    for folder in sorted(folders, key=lambda folder: folder.split("/")):
        if not found or not (folder == found[-1] or folder.startswith(found[-1] + "/")):
            found.append(folder)
    return found
