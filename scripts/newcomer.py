"""The new user's clock: clone, first scan and first name, typed as README says, in a home of their own.

The photos are those of `facewatch demo`, varied until there are enough, or a folder of your own. Packages are fetched
as for anybody who never had them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image

from facewatch.cli.init import make_library

ROOT = Path(__file__).resolve().parent.parent

N_PHOTOS = 374
MOST_SECONDS = 300.0
MOST_COMMANDS = 4

CLONE = f"git clone --quiet {shlex.quote(str(ROOT))} facewatch && cd facewatch"


@dataclass(frozen=True, slots=True)
class Walk:
    """What was typed, and how long each took."""

    seconds: dict[str, float]
    n_links: int
    """Photos in the first folder with a name."""

    @property
    def is_within(self) -> bool:
        return 0 < len(self.seconds) <= MOST_COMMANDS and sum(self.seconds.values()) <= MOST_SECONDS


def walk(home: Path, *, start: str = CLONE, say: Callable[[str], None] = print) -> Walk:
    """Type README's first commands in a shell whose home this is, with photos in ~/Pictures.

    Args:
        start: what brings the checkout, and goes there.

    Raises:
        RuntimeError: a command failed, or nobody was found.
    """
    folder = home
    seconds: dict[str, float] = {}
    hidden = ("XDG_", "FACEWATCH_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}

    def type_in(command: str) -> str:
        began = time.monotonic()
        done = subprocess.run(
            f"{command} && pwd >&2",
            shell=True,
            cwd=folder,
            env=environment | {"HOME": str(home)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        seconds[command] = time.monotonic() - began
        say(f"{seconds[command]:6.1f} s  {command.replace(str(ROOT), 'REPOSITORY')}")
        return done.stdout if command != start else done.stderr.splitlines()[-1]

    folder = Path(type_in(start))
    found = re.search(r"^ *(p\d+) ", type_in("scripts/facewatch scan ~/Pictures"), re.MULTILINE)
    if found is None:
        raise RuntimeError("the scan names nobody")
    type_in(f"scripts/facewatch rename {found[1]} Anna")
    return Walk(seconds, sum(path.is_symlink() for path in (home / "People" / "Anna").iterdir()))


def make_photos(photos: Path, n: int) -> None:
    """Write the demo's photos and more and more of their kind, each a little smaller than the last."""
    make_library(photos)
    pictures = sorted(path for path in photos.rglob("*") if path.is_file())
    for number in range(n - len(pictures)):
        source = pictures[number % len(pictures)]
        with Image.open(source) as picture:
            share = 1 - 0.02 * (1 + number // len(pictures))
            smaller = picture.convert("RGB").resize((int(picture.width * share), int(picture.height * share)))
            smaller.save(photos / f"IMG_{number:04d}.jpg", quality=90, exif=picture.getexif())


@click.command()
@click.argument("photos", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--photos", "n_photos", default=N_PHOTOS, show_default=True, help="How many of the demo's, without PHOTOS."
)
def newcomer(photos: Path | None, n_photos: int) -> None:
    """Measure how long it takes from the clone to the first folder with a name (5 minutes, 4 commands at most)."""
    with tempfile.TemporaryDirectory(prefix="facewatch-newcomer-") as place:
        home = Path(place)
        if photos:
            shutil.copytree(photos, home / "Pictures")
        else:
            make_photos(home / "Pictures", n_photos)
        n_files = sum(path.is_file() for path in (home / "Pictures").rglob("*"))
        done = walk(home, say=click.echo)
    click.echo(
        f"{sum(done.seconds.values()):6.1f} s  from the clone to ~/People/Anna with {done.n_links} photos, "
        f"{len(done.seconds)} commands, {n_files} photos, {os.cpu_count()} cores; limits: {MOST_SECONDS:g} s, "
        f"{MOST_COMMANDS} commands"
    )
    sys.exit(not done.is_within)


if __name__ == "__main__":
    newcomer()
