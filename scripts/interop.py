"""Try what other programs make of the people folder and of sidecars: by hand, outside CI.

    scripts/interop links       what programs that copy, share and back up make of a folder of links
    scripts/interop digikam     names from digiKam come in, are corrected, go out, and digiKam shows the correction
    scripts/interop sync        the people folder is edited on another machine, by way of Syncthing and Unison

prints a table; those of docs/people-folder.md and docs/regions.md are from here. The programs come from the system:
`apt install rsync rclone zip unzip p7zip-full restic borgbackup samba smbclient samba-vfs-modules nginx-light` and
minidlna, `apt install digikam xvfb xdotool dbus procps`, `apt install syncthing unison`.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

from interop_digikam import NEEDS, try_digikam
from interop_links import try_programs
from interop_sync import try_syncing


@click.group(help=__doc__)
@click.option("--keep", type=click.Path(path_type=Path), help="Work in this new folder, and leave it there.")
@click.pass_context
def main(context: click.Context, keep: Path | None) -> None:
    context.obj = keep


@main.command()
@click.pass_obj
def links(keep: Path | None) -> None:
    """Links, and programs that copy, share and back up."""
    with _folder(keep) as folder:
        rows = [(f"{one.program} {one.version}".strip(), one.way, one.came) for one in try_programs(folder)]
    _print(("program", "used so", "what comes of a link"), rows)


@main.command()
@click.pass_obj
def digikam(keep: Path | None) -> None:
    """Names to and from digiKam."""
    if absent := [program for program in NEEDS if shutil.which(program) is None]:
        raise click.ClickException(f"{', '.join(absent)} not found: apt install digikam xvfb xdotool dbus procps")
    with _folder(keep) as folder:
        steps = [*try_digikam(folder)]
    _print(("step", "", "seen"), [(step.what, "yes" if step.is_so else "NO", step.seen) for step in steps])
    if not all(step.is_so for step in steps):
        sys.exit(1)


@main.command()
@click.pass_obj
def sync(keep: Path | None) -> None:
    """Edits that arrive from another machine."""
    with _folder(keep) as folder:
        steps = [*try_syncing(folder)]
    rows = [(one.program, one.what, "yes" if one.is_so else "NO", one.seen) for one in steps]
    _print(("program", "done on machine 1 or 2", "", "photos of each afterwards"), rows)
    if not all(step.is_so for step in steps):
        sys.exit(1)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="facewatch-interop-") as folder:
        yield Path(folder)


def _print(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    for row in (heads, ("---",) * len(heads), *rows):
        click.echo(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
