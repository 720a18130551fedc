"""The newest evaluation, in a file beside the catalog: `facewatch evaluate` keeps it, and the page shows it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from facewatch.fs import sidecar
from facewatch.fs.atomic import replacing
from facewatch.fs.sidecar import beside

log = logging.getLogger(__name__)

FORMAT = 1
"""Of the file. It grows when a page would not show any more what was kept before as it was meant."""
MOST_BYTES = 64_000_000
"""Of the file; a report shows a bounded number of faces, which take 10 MB at most."""


class NoEvaluation(StrEnum):
    """Why there is no evaluation to be shown."""

    NOT_MADE = "not-made"
    DAMAGED = "damaged"
    OTHER_VERSION = "other-version"


@dataclass(frozen=True, slots=True)
class KeptEvaluation:
    """What an evaluation measured, and its report."""

    made_at: str
    """UTC, ISO 8601."""
    facts: tuple[str, ...]
    """Of which photos and by which engine, in words."""
    content: str
    """HTML without a frame; pictures of faces stand inside it."""
    measured: Mapping[str, Any]
    """What `facewatch evaluate --json` prints."""


def keep_evaluation(catalog: Path, evaluation: KeptEvaluation) -> None:
    """Keep this one, in the place of the one before, for nobody but its owner; the catalog itself need not be there.

    Raises:
        OSError: it cannot be written.
    """
    catalog.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(beside(catalog, sidecar.EVALUATION)) as file:
        # ASCII: paths among what was measured may be no UTF-8.
        file.write(json.dumps({"format": FORMAT} | asdict(evaluation), ensure_ascii=True).encode("ascii"))


def read_evaluation(catalog: Path) -> KeptEvaluation | NoEvaluation:
    """Return the evaluation that was kept last, or why there is none."""
    path = beside(catalog, sidecar.EVALUATION)
    try:
        with path.open("rb") as file:
            return _evaluation_in(json.loads(file.read(MOST_BYTES)))
    except FileNotFoundError:
        return NoEvaluation.NOT_MADE
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        log.info("%s: no evaluation: %s", path, error)
        return NoEvaluation.DAMAGED


def _evaluation_in(row: Any) -> KeptEvaluation | NoEvaluation:
    """Return what JSON says.

    Raises:
        KeyError, TypeError, ValueError: no version writes this.
    """
    if row["format"] != FORMAT:
        return NoEvaluation.OTHER_VERSION
    kept = KeptEvaluation(row["made_at"], tuple(row["facts"]), row["content"], dict(row["measured"]))
    # A page cannot hold what is no text, or cannot be UTF-8.
    "".join((kept.made_at, *kept.facts, kept.content)).encode()
    return kept
