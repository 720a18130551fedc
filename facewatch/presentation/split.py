"""What splitting a person would do, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.people.split import SplitPlan


def split_notes(plan: SplitPlan) -> list[str]:
    """Return what is worth knowing before it is done."""
    return list(_split_notes(plan))


def _split_notes(plan: SplitPlan) -> Iterator[str]:
    label = plan.person.label
    if not plan.others:
        yield (
            f"{label} looks like one person: none of the faces are clearly different"
            if not plan.is_strict
            else f"all of {label} is one person also by a stricter distance"
        )
        yield "to split anyway: --into 2" + ("" if plan.is_strict else ", or --strict")
    if plan.into is not None and len(plan.parts) != plan.into:
        yield f"{len(plan.parts)} parts instead of {plan.into}: two faces of one photo cannot stay together"
    if plan.others and plan.n_poor:
        yield f"{plural(plan.n_poor, 'face')} too small or too blurred to tell people apart went with the nearest part"
    if plan.others and plan.n_unseen:
        yield (
            f"{plural(plan.n_unseen, 'face')} that cannot be compared now (not in the library, or not seen by the "
            f"engine in use) stay with {label}"
        )
    if plan.n_loose:
        said = f"{plural(plan.n_loose, 'face')} would not have been placed there by today's settings"
        yield f"{said}; `facewatch audit --fix` lets go of them"
