"""The command line. `main` is the only place where errors become text and exit codes."""

from __future__ import annotations

import atexit
import errno
import gc
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from facewatch.called import GIVEN, VARIABLE, how_called, options_given
from facewatch.cli.asking import GivenUpError
from facewatch.cli.output import echo
from facewatch.cli.program import facewatch
from facewatch.errors import FacewatchError

log = logging.getLogger(__name__)

GARBAGE = (50_000, 20, 100)
"""Python's thresholds, instead of 700, 10 and 10."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line, that of the process unless it is given, and return its exit code."""
    # Looking for circles takes a tenth of a command that reads 100,000 faces, and finds none: it is done more seldom.
    gc.set_threshold(*GARBAGE)
    if args is None:
        # Nor does it when all is over: for "scan" of nothing new that takes a tenth of the time.
        atexit.register(gc.freeze)
        os.environ[VARIABLE] = how_called(os.environ, sys.argv, sys.orig_argv)
        os.environ[GIVEN] = options_given(sys.argv[1:], folder=_folder(), home=os.environ.get("HOME", ""))
    try:
        # click returns the code of an Exit as if it were a command's result.
        code = facewatch.main(args=args, prog_name="facewatch", standalone_mode=False)
    except FacewatchError as error:
        echo(f"facewatch: {error}", is_error=True)
        return error.exit_code
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        echo(shown.getvalue().rstrip("\n"), is_error=True)
        return error.exit_code
    except GivenUpError:
        click.echo("\nfacewatch: stopped; nothing was done", err=True)
        return INTERRUPTED
    except (click.Abort, KeyboardInterrupt):
        click.echo("facewatch: stopped; what was done so far stands, the same command carries on", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has enough. Python would complain once more while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _unexpected(error)
        echo(f"facewatch: the disk is full ({error}); make room and start again, nothing is lost", is_error=True)
        return 1
    except Exception as error:
        return _unexpected(error)
    return code if isinstance(code, int) else 0


def _folder() -> str:
    """Return the current folder; "": it is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _unexpected(error: Exception) -> int:
    """A fault of ours: say so in a line, with the traceback at -vv."""
    log.debug("", exc_info=error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    echo(
        f"facewatch: a fault of facewatch itself: {type(error).__name__}: {error} ({where.filename}:{where.lineno}); "
        "nothing is lost. Please report it with what -vv prints",
        is_error=True,
    )
    return 1
