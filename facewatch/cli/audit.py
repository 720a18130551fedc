"""The command `audit`."""

from __future__ import annotations

import click

from facewatch.cli.output import echo, print_json
from facewatch.cli.program import State, command, json_option, pass_state


@command("audit", "Find contradictions and fix them.")
@click.option("--fix", is_flag=True, help="Fix what needs no decision from you; `facewatch undo` takes it back.")
@json_option
@pass_state
def audit(state: State, fix: bool, as_json: bool) -> None:
    """Find people who are twice in one photo, faces nearer to another person than to their own, faces that a run
    assigned with looser settings than today's, people who look like one, wrong links, and contradictions in the
    catalog; for each of them, show the command that fixes it.

    Without --fix nothing is changed. With it, faces that a run assigned wrongly are released and matched again, the
    people folder is brought up to date, and broken records are repaired. Faces that you assigned are only reported.

    \b
    Example:
      facewatch audit
      facewatch audit --fix

    \b
    Exit codes:
      0 nothing is wrong, or all of it was fixed; 1 something is left to fix or to
      decide (what is for your information does not count);
      5 catalog; 6 another facewatch is writing; 8 people folder
    """
    from facewatch.presentation.checks import audit_lines, audit_row

    with state.app() as app:
        found = app.auditor().fix() if fix else app.auditor().check()
    if as_json:
        print_json(audit_row(found))
    else:
        for line in audit_lines(found, is_quiet=state.is_quiet, is_fixed=fix):
            echo(line)
    if not found.is_clean:
        raise click.exceptions.Exit(1)
