"""The names of the files beside a catalog that belong to it."""

from __future__ import annotations

from pathlib import Path

WAL = "-wal"
SHARED_MEMORY = "-shm"
JOURNAL = "-journal"
"""These three are SQLite's own."""

WRITE_LOCK = ".lock"
RUN_LOCK = ".run.lock"
"""Of the one process that scans or watches."""
HEARTBEAT = ".live.json"
GRAPH = ".graph.npz"
"""Who is near whom in the pool."""
MAP = ".map.npz"
"""Where faces are on their map."""
EVALUATION = ".evaluation.json"
"""The newest evaluation, with faces."""
VECTORS = ".vectors-"
"""What search reads; the beginning of an engine's fingerprint follows."""
CODES = ".codes"
"""Behind that: the same faces in less room."""
RABITQ = ".rabitq"
"""Behind that, too: an index of them; which file it is of follows, and the number of its part."""
VECTORS_LOCK = ".vectors.lock"
CROPS = ".crops"
BACKUPS = ".backups"
"""The folder of the daily backups."""
SIDECARS = ".sidecars"
"""The folder of the sidecars of photos beside which nothing may be written."""
SIDECARS_LOCK = ".sidecars.lock"
"""Of the one process that writes sidecars of photos."""
BEFORE_MIGRATION = ".before-"
"""A backup; the name of the migration follows."""


def beside(catalog: Path, suffix: str) -> Path:
    """Return a file or folder that goes with a catalog."""
    return catalog.with_name(catalog.name + suffix)
