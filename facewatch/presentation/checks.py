"""What `audit` and `doctor` found, in sentences and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.checks import Finding
    from facewatch.checks.audit import Audit
    from facewatch.checks.doctor import Diagnosis

_HEADINGS = {
    "twice": "one person several times in a photo",
    "nearer": "faces nearer to another person than to their own",
    "loose": "faces that today's settings would not have assigned",
    "alike": "people who look like one",
    "links": "the people folder",
    "catalog": "a catalog that contradicts itself",
}

_MOST_SHOWN = 20
"""Findings of a kind; --json lists all."""


# --- audit ---


def audit_row(found: Audit) -> dict[str, Any]:
    return {
        "findings": list(map(_finding_row, found.findings)),
        "mended": list(map(_finding_row, found.fixed)),
        "entry_id": found.entry_id,
        "left_out": found.left_out,
        "is_clean": found.is_clean,
    }


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "kind": finding.kind,
        "text": finding.text,
        "people": finding.people,
        "faces": finding.faces,
        "photos": finding.photos,
        "remedies": finding.remedies,
        "is_fault": finding.is_fault,
        "is_mendable": finding.fix is not None,
    }


def audit_lines(found: Audit, *, is_quiet: bool, is_fixed: bool) -> Iterator[str]:
    """Yield what was found; `is_quiet`: only what is wrong; `is_fixed`: what could be fixed was."""
    faults = [finding for finding in found.findings if finding.is_fault]
    remarks = [finding for finding in found.findings if not finding.is_fault]
    if found.fixed and not is_quiet:
        yield f"{plural(len(found.fixed), 'fault')} fixed:"
        yield from _findings(found.fixed, has_remedies=False)
    yield from _findings(faults, has_remedies=True)
    if remarks and not is_quiet:
        yield "for your information:"
        yield from _findings(remarks, has_remedies=False)
    yield from (f"not checked: {what}" for what in found.left_out)
    if not is_quiet:
        yield _left(found, faults, is_fixed)


def _left(found: Audit, faults: Sequence[Finding], is_fixed: bool) -> str:
    n_mendable = sum(finding.fix is not None for finding in faults)
    if not faults:
        return "nothing is wrong" if not found.fixed else "nothing is left"
    if n_mendable and not is_fixed:
        n_open = len(faults) - n_mendable
        rest = f", {n_open} {'takes' if n_open == 1 else 'take'} your decision" if n_open else ""
        return f"{plural(len(faults), 'finding')}: `facewatch audit --fix` fixes {n_mendable}{rest}"
    return f"{plural(len(faults), 'finding')} left to decide"


def _findings(findings: Sequence[Finding], *, has_remedies: bool) -> Iterator[str]:
    """Yield findings kind by kind, the first of each."""
    for kind in dict.fromkeys(finding.kind for finding in findings):
        of_kind = [finding for finding in findings if finding.kind == kind]
        remedies = [_remedies(finding) if has_remedies else () for finding in of_kind]
        is_one = len(set(remedies)) == 1
        yield f"{_HEADINGS[kind]} ({len(of_kind)})"
        for finding, commands in list(zip(of_kind, remedies, strict=True))[:_MOST_SHOWN]:
            yield f"  {finding.text}"
            yield from (f"      {one}" for one in (() if is_one else commands))
        if len(of_kind) > _MOST_SHOWN:
            yield f"  and {len(of_kind) - _MOST_SHOWN} more; --json lists all"
        yield from (f"      {one}" for one in (remedies[0] if is_one else ()))
        yield ""


def _remedies(finding: Finding) -> tuple[str, ...]:
    return (*(["facewatch audit --fix"] if finding.fix else []), *finding.remedies)


# --- doctor ---


def diagnosis_row(found: Diagnosis) -> dict[str, Any]:
    return {
        "findings": [
            {"area": one.kind, "level": one.severity, "what": one.text, "remedy": one.remedy} for one in found.findings
        ],
        "n_ok": len(found.findings) - found.n_broken - found.n_remarks,
        "n_remarks": found.n_remarks,
        "n_broken": found.n_broken,
        "is_well": found.is_well,
    }


def summary(found: Diagnosis) -> str:
    """Return the last line: "1 thing is broken, 2 remarks"."""
    broken = f"{plural(found.n_broken, 'thing is', 'things are')} broken" if found.n_broken else "all is well"
    return f"{broken}, {plural(found.n_remarks, 'remark')}" if found.n_remarks else broken
