"""Hard links of ours change the ctimes of photos: what they were before and are then is recorded, so that no scan reads
those photos again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from facewatch.catalog import Catalog
from facewatch.types import Fingerprint


def fingerprints_of(files: Iterable[Path]) -> dict[Path, Fingerprint]:
    """Return these files as they are now, as far as they are there."""
    return {file: now for file in files if (now := _fingerprint_of(file))}


def keep_ctimes(catalog: Catalog, before: Mapping[Path, Fingerprint]) -> None:
    """Record the ctimes of those that are the same but for them."""
    now = fingerprints_of(before)
    kept = [(then, now[file]) for file, then in before.items() if now.get(file) == then]
    if kept:
        with catalog.write():
            for then, after in kept:
                catalog.files.replace_ctime(then, after)


def _fingerprint_of(file: Path) -> Fingerprint | None:
    try:
        return Fingerprint.of(file.lstat())
    except OSError:
        return None
