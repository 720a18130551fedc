"""Pause and resume: whether a watcher may look at photos, on record in the catalog, so that it outlives both."""

from __future__ import annotations

from dataclasses import dataclass

from facewatch.catalog import Catalog

_SETTING = "paused"


@dataclass(frozen=True, slots=True)
class Pause:
    """What `pause` and `resume` found and left."""

    since: str | None
    """UTC; after `resume`: since when it had been. None: it had not."""
    is_paused: bool
    """From now on."""
    was_paused: bool


def paused_since(catalog: Catalog) -> str | None:
    """Return since when (UTC) no watcher may look at photos, None when it may. Writes nothing."""
    return catalog.settings.get(_SETTING)


def pause(catalog: Catalog) -> Pause:
    """From now on a watcher looks at nothing new; one that is paused already stays so since when it was.

    Raises:
        BusyError: another process has been writing for too long.
    """
    with catalog.write():
        before = paused_since(catalog)
        if before is None:
            catalog.settings.set(_SETTING, catalog.now())
        return Pause(paused_since(catalog), is_paused=True, was_paused=before is not None)


def resume(catalog: Catalog) -> Pause:
    """From now on a watcher looks at photos, also at those that came meanwhile.

    Raises:
        BusyError: another process has been writing for too long.
    """
    with catalog.write():
        before = paused_since(catalog)
        catalog.settings.unset(_SETTING)
    return Pause(before, is_paused=False, was_paused=before is not None)
