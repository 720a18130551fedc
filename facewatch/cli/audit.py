"""The command `audit`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facewatch.cli.output import echo, print_json
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facewatch.checks.audit import Finding
    from facewatch.service.auditing import Audit

_HEADINGS = {
    "twice": "one person several times in a photo",
    "nearer": "faces nearer to another person than to their own",
    "loose": "faces that today's settings would not have placed",
    "alike": "people who look like one",
    "links": "the people folder",
    "catalog": "a catalog that contradicts itself",
}

_MOST_SHOWN = 20
"""Findings of a kind; --json lists all."""


# --- stats ---


# --- audit ---


@command("audit", "Find contradictions and fix them.")
@click.option("--fix", is_flag=True, help="Fix what needs no decision from you; `facewatch undo` takes it back.")
@json_option
@pass_state
def audit(state: State, fix: bool, as_json: bool) -> None:
    """Find people who are twice in one photo, faces nearer to another person than to their own, faces that a run placed
    with looser settings than today's, people who look like one, wrong links, and contradictions in the catalog; for
    each of them, show the command that fixes it.

    Without --fix nothing is changed. With it, faces that a run placed wrongly are released and matched again, the
    people folder is brought up to date, and broken records are repaired. Faces that you placed are only reported.

    \b
    Example:
      facewatch audit
      facewatch audit --fix

    \b
    Exit codes:
      0 nothing is wrong, or all of it was fixed; 1 something is left to fix or to
      decide (what is only told does not count); 5 catalog;
      6 another facewatch is writing; 8 people folder
    """
    from facewatch.service import auditing

    with state.app() as app:
        found = auditing.audit_and_mend(app) if fix else auditing.audit(app)
    if as_json:
        print_json(_facts(found))
    else:
        _print_audit(found, is_quiet=state.is_quiet, is_fixed=fix)
    if not found.is_clean:
        raise click.exceptions.Exit(1)


def _facts(found: Audit) -> dict[str, Any]:
    return {
        "findings": [_finding(finding) for finding in found.findings],
        "mended": [_finding(finding) for finding in found.mended],
        "entry_id": found.entry_id,
        "left_out": found.left_out,
        "is_clean": found.is_clean,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    facts = asdict(finding)
    facts["is_mendable"] = facts.pop("mend") is not None
    return facts


def _print_audit(found: Audit, *, is_quiet: bool, is_fixed: bool) -> None:
    if found.mended and not is_quiet:
        echo(f"{plural(len(found.mended), 'fault')} mended:")
        _print_findings(found.mended, has_remedies=False)
    faults = [finding for finding in found.findings if finding.is_fault]
    told = [finding for finding in found.findings if not finding.is_fault]
    if faults:
        _print_findings(faults, has_remedies=True)
    if told and not is_quiet:
        echo("only told:")
        _print_findings(told, has_remedies=False)
    for what in found.left_out:
        echo(f"not looked at: {what}")
    if is_quiet:
        return
    n_mendable = sum(finding.mend is not None for finding in faults)
    if not faults:
        echo("nothing is wrong" if not found.mended else "nothing is left")
    elif n_mendable and not is_fixed:
        n_open = len(faults) - n_mendable
        rest = f", {n_open} {'takes' if n_open == 1 else 'take'} your decision" if n_open else ""
        echo(f"{plural(len(faults), 'finding')}: `facewatch audit --fix` mends {n_mendable}{rest}")
    else:
        echo(f"{plural(len(faults), 'finding')} left to decide")


def _print_findings(findings: Sequence[Finding], *, has_remedies: bool) -> None:
    """Print findings kind by kind, the first of each."""
    for kind in dict.fromkeys(finding.kind for finding in findings):
        of_kind = [finding for finding in findings if finding.kind is kind]
        remedies = [_remedies(finding) if has_remedies else () for finding in of_kind]
        is_one = len(set(remedies)) == 1
        echo(f"{_HEADINGS[kind]} ({len(of_kind)})")
        for finding, commands in list(zip(of_kind, remedies, strict=True))[:_MOST_SHOWN]:
            echo(f"  {finding.text}")
            _print_commands(() if is_one else commands)
        if len(of_kind) > _MOST_SHOWN:
            echo(f"  and {len(of_kind) - _MOST_SHOWN} more; --json lists all")
        _print_commands(remedies[0] if is_one else ())
        click.echo()


def _remedies(finding: Finding) -> tuple[str, ...]:
    return (*(["facewatch audit --fix"] if finding.mend else []), *finding.remedies)


def _print_commands(commands: Sequence[str]) -> None:
    for one in commands:
        echo(f"      {one}")
