"""What an export writes, in sentences and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from facewatch.catalog import display
from facewatch.ids import label_of
from facewatch.models.packs import megabytes
from facewatch.presentation.photos import offline_lines
from facewatch.text import plural

if TYPE_CHECKING:
    from pathlib import Path

    from facewatch.folders.export import ExportForm, ExportItem, ExportPlan
    from facewatch.people.exporting import Export, Exported

_FILES = {"copy": "copy", "symlink": "link", "hardlink": "hard link"}


def planned_lines(root: Path, form: ExportForm, plan: ExportPlan, export: Export) -> Iterator[str]:
    """Yield what would be written, by person, and how much that is."""
    if not form.is_flat:
        for label, n in sorted(Counter(_label(file.item) for file in plan.made).items()):
            yield f"{display(label)}: {_files(form, n)}"
    about = "about " if form.content == "faces" else ""
    size = f", {about}{megabytes(plan.n_bytes)}" if plan.n_bytes else ""
    yield f"{display(str(root))}: {_files(form, len(plan.made))} would be written{size}{_there(plan.n_there)}"
    yield from offline_lines(export.n_offline, export.offline)


def exported_lines(root: Path, form: ExportForm, done: Exported, export: Export) -> Iterator[str]:
    """Yield what was written, and what could not be."""
    yield f"{display(str(root))}: {_files(form, done.n_made)} written{_there(done.n_there)}"
    if done.faults:
        yield f"{len(done.faults)} could not be written: the same command tries them again"
    yield from offline_lines(export.n_offline, export.offline)


def export_row(root: Path, form: ExportForm, plan: ExportPlan, export: Export) -> dict[str, Any]:
    """Return the facts of a dry run."""
    return {
        "folder": str(root),
        "form": asdict(form),
        "n_files": len(plan.made),
        "n_bytes": plan.n_bytes,
        "n_there": plan.n_there,
        "n_offline": export.n_offline,
        "files": [{"path": file.path, "source": file.item.source} for file in plan.made],
    }


def exported_row(root: Path, form: ExportForm, done: Exported, export: Export) -> dict[str, Any]:
    return {"folder": str(root), "form": asdict(form), **asdict(done), "n_offline": export.n_offline}


def _label(item: ExportItem) -> str:
    return item.name or label_of(item.person_id or 0)


def _files(form: ExportForm, n: int) -> str:
    one = "face" if form.content == "faces" else _FILES[form.link]
    return plural(n, one, "copies" if one == "copy" else None)


def _there(n_there: int) -> str:
    return f"; {n_there} {'is' if n_there == 1 else 'are'} there already" if n_there else ""
