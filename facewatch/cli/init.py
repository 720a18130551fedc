"""The command `init`."""

from __future__ import annotations

from pathlib import Path

import click

from facewatch.cli.output import echo
from facewatch.cli.program import State, command, pass_state


@command("init", "Write a settings file.")
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--engine", help="face_recognition, or insightface:PACK; `facewatch models` lists the packs.")
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
