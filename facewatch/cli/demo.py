"""A small library from pictures that ship inside the installed packages, worked through before the user's eyes."""

from __future__ import annotations

import importlib.util
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch import ids
from facewatch.cli.output import echo, plural, print_table, print_tree, progress_bar
from facewatch.cli.program import State, command, pass_state
from facewatch.errors import FacewatchError

if TYPE_CHECKING:
    from PIL.Image import Image

_PICTURES = {
    "group": ("insightface", "data/images/t1.jpg"),
    "portrait": ("insightface", "data/images/Tom_Hanks_54745.png"),
    "astronaut": ("skimage", "data/astronaut.png"),
}

ORIENTATION = 0x0112
"""The EXIF tag."""

_UNDO = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 6: "ROTATE_90", 8: "ROTATE_270"}
"""How to store a picture so that this EXIF orientation shows it upright."""


def run_demo(folder: Path | None, *, is_quiet: bool) -> None:
    """Make the library, scan it, name somebody, and show what came of it.

    Raises:
        FacewatchError: the folder holds something already, or a package came without its pictures.
    """
    from facewatch.app import Service
    from facewatch.config import load_config

    place = _make_place(folder)
    photos = place / "Photos"
    n_files = make_library(photos)
    say = (lambda _: None) if is_quiet else echo
    say(f"made {photos} with {plural(n_files, 'photo')}: three pictures, scaled, cropped, turned, mirrored\n")
    say(f"$ facewatch scan {photos} --catalog {place / 'catalog.sqlite'}")
    config = load_config(
        None,
        {
            "library.photos": str(photos),
            "library.people": str(place / "People"),
            "library.catalog": str(place / "catalog.sqlite"),
        },
        cwd=Path.cwd(),
    )
    with Service(config) as service:
        with progress_bar("looking at photos", is_shown=not is_quiet) as report:
            result = service.scan_all(report)
        say(f"{plural(result.n_faces, 'face')} in {plural(result.n_new, 'photo')}, {result.seconds:.1f} s\n")
        astronaut = _who_is_on(service, photos / "space" / "astronaut.png")
        say(f"$ facewatch rename {ids.person(astronaut)} 'Eileen Collins'")
        service.rename(str(astronaut), "Eileen Collins")
        say("\n$ facewatch people")
        everybody = [person for person in service.catalog.people.all() if person.n_photos]
    print_table(
        ("id", "name", "faces", "photos", "folder"),
        [(ids.person(p.id), p.label, p.n_faces, p.n_photos, p.folder or "") for p in everybody],
    )
    click.echo()
    print_tree(place / "People")
    say(f"\ntry more: facewatch review --catalog {shlex.quote(str(place / 'catalog.sqlite'))}")
    say(f"look around in {place}, and delete it when you have seen enough")


def _make_place(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="facewatch-demo-"))
    place = folder.absolute()
    place.mkdir(parents=True, exist_ok=True)
    if any(place.iterdir()):
        raise FacewatchError(f"{folder}: holds something already; name a new or empty folder")
    return place


def _who_is_on(service: object, photo: Path) -> int:
    faces = service.photo(photo)["faces"]  # type: ignore[attr-defined]
    people = [face["person_id"] for face in faces if face["person_id"] is not None]
    if not people:
        raise FacewatchError("the demo did not find its astronaut; please report this")
    return int(people[0])


def make_library(photos: Path) -> int:
    """Write the pictures and their variants below a folder, and return how many files there are."""
    from PIL import Image

    pictures = {name: Image.open(_locate(*where)).convert("RGB") for name, where in _PICTURES.items()}
    for name in ("space", "film", "party", "party/more"):
        (photos / name).mkdir(parents=True, exist_ok=True)
    _write_variants(pictures["astronaut"].crop((90, 0, 390, 300)), photos / "space", "astronaut")
    _write_variants(pictures["portrait"], photos / "film", "portrait")
    group = pictures["group"]
    group.save(photos / "party" / "everybody.jpg", quality=92)
    _save_turned(group, photos / "party" / "everybody-turned.jpg", 6)
    half = group.width // 2
    group.crop((0, 0, half + 60, group.height)).save(photos / "party" / "more" / "left.webp", quality=90)
    group.crop((half - 60, 0, group.width, group.height)).save(photos / "party" / "more" / "right.png")
    return sum(path.is_file() for path in photos.rglob("*"))


def _write_variants(picture: Image, folder: Path, name: str) -> None:
    picture.save(folder / f"{name}.png")
    picture.resize((picture.width * 2, picture.height * 2)).save(folder / f"{name}-large.jpg", quality=90)
    picture.resize((picture.width * 4 // 5, picture.height * 4 // 5)).save(folder / f"{name}-small.jpg", quality=70)
    picture.convert("L").save(folder / f"{name}-grey.jpg", quality=90)
    margin = picture.width // 16
    picture.crop((margin, margin, picture.width - margin, picture.height - margin)).save(
        folder / f"{name}-cropped.webp"
    )
    for orientation in (2, 3, 8):
        _save_turned(picture, folder / f"{name}-orientation-{orientation}.jpg", orientation)


def _save_turned(picture: Image, path: Path, orientation: int) -> None:
    """Store the picture turned or mirrored, with the EXIF tag that says so."""
    from PIL import Image

    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture.transpose(Image.Transpose[_UNDO[orientation]]).save(path, quality=90, exif=exif)


def _locate(package: str, path: str) -> Path:
    # Found without importing the package: that would take seconds.
    spec = importlib.util.find_spec(package)
    file = Path(spec.origin).parent / path if spec and spec.origin else None
    if file is None or not file.is_file():
        raise FacewatchError(f"the demo needs the picture {path} of {package}; reinstall that package")
    return file


@command("demo", "Try it without photos of your own.")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@pass_state
def demo(state: State, folder: Path | None) -> None:
    """Try facewatch without photos of your own: make a small library in FOLDER (or a temporary one) and scan it.

    \b
    Example:
      facewatch demo
    """
    run_demo(folder, is_quiet=state.is_quiet)
