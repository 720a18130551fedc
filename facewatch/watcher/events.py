"""Ears: hear what happens below a root, by whatever the platform offers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol

from facewatch.watcher.buffer import Heard, Inbox

if sys.platform == "linux":
    from facewatch.watcher.inotify import InotifyListener as _PlatformListener
else:
    from facewatch.watcher.observer import ObserverListener as _PlatformListener

Skips = Callable[[str], bool]
"""Says that a folder, by its path below the root, is none of our business, with all below it."""


class Listener(Protocol):
    """Puts into an inbox what happens below a root."""

    @property
    def unwatched(self) -> frozenset[str]: ...

    @property
    def fault(self) -> str | None: ...

    @property
    def is_deaf(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def complete(self) -> None: ...


Listen = Callable[[str, Skips, Inbox], Listener]

listen: Listen = _PlatformListener
"""Makes the platform's own listener."""


class Ears:
    """Hears what happens below a folder; a context manager that stops listening at its end.

    What is heard are hints: late, doubled or lost ones do no harm, looks at the whole library see to that.
    """

    def __init__(self, root: Path, *, skips: Skips, listen: Listen = listen) -> None:
        """`skips` is asked for every folder before anything is listened to in it, also from another thread; where it
        raises OSError, because the folder cannot be read, the folder counts as our business.
        """
        self._inbox = Inbox()
        self._listener = listen(str(root), _where_told(skips), self._inbox)

    def __enter__(self) -> Ears:
        """Start listening.

        Raises:
            OSError: the root cannot be listened to at all: it is not there, or the kernel refuses; `strerror` says
                what helps.
        """
        self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.stop()

    def take(self, timeout: float) -> Heard:
        """Return what was heard since the last time, waiting for the first of it at most this many seconds."""
        return self._inbox.take(timeout)

    def complete(self) -> None:
        """Listen to what is there now: to folders that were refused, skipped, or mounted unheard of until now too.

        It lists every folder, and belongs before a look at everything.
        """
        self._listener.complete()

    @property
    def unwatched(self) -> frozenset[str]:
        """Folders that are not listened to, with all below them, though they should be: they have to be polled.

        Those that could not be listed are among them, though a part of what happens there may be heard. Those that
        nobody here may read are not: polling would not find anything in them either.
        """
        return self._listener.unwatched

    @property
    def fault(self) -> str | None:
        """Why there are unwatched folders, and what helps; None when there are none."""
        return self._listener.fault

    @property
    def is_deaf(self) -> bool:
        """Whether nothing is listened to any more, or not yet: `complete` does not mend that, only new ears do."""
        return self._listener.is_deaf


def _where_told(skips: Skips) -> Skips:
    """A folder that cannot be asked what it is, is one to listen to: trying that tells whether it can be, and why."""

    def is_skipped(folder: str) -> bool:
        try:
            return skips(folder)
        except OSError:
            return False

    return is_skipped
