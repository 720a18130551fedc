"""Names that go out into sidecars, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from facewatch.people.regions_out import FOLDER_AWAY
from facewatch.people.sidecar_rules import Outcome
from facewatch.regions.model import NOBODY, as_tag
from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.people.regions_out import SidecarTold

ANSWERS = "facewatch regions --write --again writes them once more, --leave leaves them out"

ONLY_CONFIRMED = (
    "only faces that you gave somebody or confirmed are written: `facewatch confirm WHO` says that all of a person are "
    'right; with who = "named", under [regions] in the settings, those that facewatch found are written, too'
)
"""Why there is nothing to write yet."""


def sidecar_lines(told: Sequence[SidecarTold], *, is_trial: bool) -> Iterator[str]:
    """Yield a line for each sidecar, and one for all."""
    for one in told:
        yield f"{one.sidecar}: {_words(one)}"
    counts = Counter(one.outcome for one in told)
    would = "would be written" if is_trial else "written"
    yield f"{plural(counts[Outcome.WRITTEN], 'sidecar')} {would}"
    if counts[Outcome.ASKED]:
        yield f"{plural(counts[Outcome.ASKED], 'sidecar')} not written: names are gone from them; {ANSWERS}"


def _words(told: SidecarTold) -> str:
    names = ", ".join(told.names)
    match told.outcome:
        case Outcome.WRITTEN:
            gone = f"without {', '.join(told.gone)}" if told.gone else ""
            return "; ".join(filter(None, [names, gone]))
        case Outcome.ASKED:
            return f"not written: {names} stood in it, and another program took that out"
        case Outcome.WAITS:
            return f"waits: {told.reason}{'; if it was deleted, --again makes it anew' * (told.reason == FOLDER_AWAY)}"
        case _:
            return f"not written: {told.reason}"


def warning_lines(names: Iterable[str]) -> Iterator[str]:
    """Yield a line for each name of a person that other programs take for another, or for nobody's."""
    for name in sorted(names):
        if name in NOBODY:
            yield f"{name}: not written, since other programs call nobody so; facewatch rename gives another name"
        elif as_tag(name) != name:
            yield f"{name}: digiKam will call this person {as_tag(name)}, since / and | part its tags"


def sidecars_row(told: Sequence[SidecarTold], *, is_trial: bool) -> dict[str, Any]:
    return {
        "dry_run": is_trial,
        "sidecars": [
            {
                "path": one.sidecar,
                "photo": one.photo,
                "outcome": str(one.outcome),
                "names": list(one.names),
                "gone": list(one.gone),
                "reason": one.reason or None,
            }
            for one in told
        ],
    }
