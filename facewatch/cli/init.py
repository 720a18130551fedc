"""The commands `init`, and `demo`, which does without photos of one's own."""

from __future__ import annotations

import importlib.util
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch import ids
from facewatch.cli.output import echo, print_table, progress_bar
from facewatch.cli.program import State, command, pass_state
from facewatch.engines import ENGINE_HELP
from facewatch.errors import FacewatchError
from facewatch.text import plural, printable

if TYPE_CHECKING:
    from PIL.Image import Image

    from facewatch.config import Config


@command("init", "Write a settings file.")
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--engine", help=ENGINE_HELP)
@click.option("--force", is_flag=True, help="Write over a settings file that is there.")
@pass_state
def init(state: State, photos: tuple[Path, ...], engine: str | None, force: bool) -> None:
    """Write a settings file for the library PHOTOS, every key with its default and a comment.

    It goes to --config, or to your configuration folder.

    \b
    Example:
      facewatch init ~/Pictures --people ~/People
    """
    from facewatch.config import load_config, reference_toml, user_config_file
    from facewatch.errors import ConfigError
    from facewatch.library.layout import check_library, check_places

    file = state.config_file or user_config_file()
    if file.exists() and not force:
        raise ConfigError(str(file), ["is there already; edit it, or write over it with --force"])
    cwd = Path.cwd()
    config = load_config(
        None, state.overrides | {"library.photos": [str(p) for p in photos], "engine.name": engine}, cwd=cwd
    )
    for library in config.photos:
        check_library(library)
    people = config.people or config.photos[0].parent / "People"
    check_places(config.photos, people, config.catalog, source=str(file))
    chosen = {
        "library.photos": str(config.photos[0]) if len(config.photos) == 1 else [str(p) for p in config.photos],
        "library.people": str(people),
        "library.catalog": str(config.catalog),
        "engine.name": config["engine.name"],
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(reference_toml(chosen), encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(file), [f"cannot be written: {error.strerror}; name another with --config"]) from error
    except UnicodeEncodeError as error:
        raise ConfigError(str(file), ["cannot hold a folder's name that is not UTF-8; rename the folder"]) from error
    option = f" --config {file}" if state.config_file else ""
    echo(f"wrote {file}\nnext: facewatch scan{option}")


_PICTURES = {
    "group": ("insightface", "data/images/t1.jpg"),
    "portrait": ("insightface", "data/images/Tom_Hanks_54745.png"),
    "astronaut": ("skimage", "data/astronaut.png"),
}

ORIENTATION = 0x0112
"""The EXIF tag."""

_UNDO = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 6: "ROTATE_90", 8: "ROTATE_270"}
"""How to store a picture so that this EXIF orientation shows it upright."""


def run_demo(folder: Path | None, *, is_quiet: bool) -> Config:
    """Make the library, scan it, name somebody, show what came of it, and return the settings for it.

    Raises:
        FacewatchError: the folder holds something already, or a package came without its pictures.
    """
    from facewatch.app import App
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
    with App(config) as app:
        with progress_bar("analysing photos", is_shown=not is_quiet) as report:
            result = app.pipeline.scan(report)
        say(
            f"{plural(result.faces.n_faces, 'face')} in {plural(result.files.n_new, 'photo')}, {result.seconds:.1f} s\n"
        )
        astronaut = _who_is_on(app, photos / "space" / "astronaut.png")
        say(f"$ facewatch rename {ids.person(astronaut)} 'Eileen Collins'")
        app.corrections.rename(str(astronaut), "Eileen Collins")
        say("\n$ facewatch people")
        everybody = [person for person in app.catalog.people.all() if person.n_photos]
    print_table(
        ("id", "name", "faces", "photos", "folder"),
        [(ids.person(p.id), p.label, p.n_faces, p.n_photos, p.folder or "") for p in everybody],
    )
    click.echo()
    print_tree(place / "People")
    say(f"\ntry more: facewatch review --catalog {shlex.quote(str(place / 'catalog.sqlite'))}")
    say(f"look around in {place}, and delete it when you have seen enough")
    return config


def _make_place(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="facewatch-demo-"))
    place = folder.absolute()
    place.mkdir(parents=True, exist_ok=True)
    if any(place.iterdir()):
        raise FacewatchError(f"{folder}: holds something already; name a new or empty folder")
    return place


def _who_is_on(app: object, photo: Path) -> int:
    faces = app.lookup.photo(photo)["faces"]  # type: ignore[attr-defined]
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
@click.option("--web", "has_page", is_flag=True, help="Then open the page of `facewatch web` on it; Ctrl-C ends it.")
@pass_state
def demo(state: State, folder: Path | None, has_page: bool) -> None:
    """Try facewatch without photos of your own: make a small library in FOLDER (or a temporary one) and scan it.

    \b
    Example:
      facewatch demo
      facewatch demo --web
    """
    config = run_demo(folder, is_quiet=state.is_quiet)
    if has_page:
        from facewatch.cli.web import serve

        serve(config, port=0, is_opened=True)


def print_tree(root: Path, *, most: int = 6) -> None:
    """Print a folder of links as a tree, the first few of each folder."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def grow(tree: Tree, folder: Path) -> None:
        entries = sorted(folder.iterdir(), key=lambda entry: (not entry.is_dir() or entry.is_symlink(), entry.name))
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        for entry in shown[:most]:
            if entry.is_symlink():
                tree.add(Text(printable(f"{entry.name} -> {entry.readlink()}")))
            else:
                branch = tree.add(Text(printable(entry.name + ("/" if entry.is_dir() else ""))))
                if entry.is_dir():
                    grow(branch, entry)
        if len(shown) > most:
            tree.add(f"... and {len(shown) - most} more")

    tree = Tree(Text(printable(f"{root}/")))
    grow(tree, root)
    # Piped into a file or another program nothing should be cut to 80 columns.
    Console(highlight=False, width=None if sys.stdout.isatty() else 10_000).print(tree)
