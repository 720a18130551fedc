"""The commands `models`: list, fetch, import and verify the packs of models. Nothing is downloaded unasked."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facewatch.cli.asking import is_confirmed, is_somebody_there
from facewatch.cli.output import echo, print_json, print_table, progress_bar
from facewatch.cli.program import MEANT_OF_MODELS, State, command, facewatch, json_option, pass_state, shared_options
from facewatch.errors import EngineError, FacewatchError
from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.models.packs import Pack

STANDARD = "face_recognition"


@facewatch.group(
    "models", short_help="List, download and check models.", invoke_without_command=True, meant=MEANT_OF_MODELS
)
@shared_options
@json_option
@pass_state
@click.pass_context
def models(context: click.Context, state: State, as_json: bool) -> None:
    """List the engines: dimensions of an embedding, size on disk, licence, and whether the files are installed.

    Another engine is chosen with `name` under [engine] in the settings, or with --engine.

    \b
    Example:
      facewatch models                     what there is
      facewatch models fetch buffalo_l     get the files of insightface:buffalo_l
      facewatch models import ~/my_pack    take files that you have
      facewatch models verify              look for damage
    """
    if context.invoked_subcommand is None:
        _list(state, as_json)
    elif as_json:
        raise click.UsageError(f"--json does not go before {context.invoked_subcommand}", context)


_command = partial(command, group=models)


def _folder(state: State) -> Path:
    from facewatch.models.packs import models_folder

    return models_folder(state.config()["engine.models"])


def _list(state: State, as_json: bool) -> None:
    from facewatch.models.packs import list_packs

    rows = [_standard()]
    for pack in list_packs(_folder(state)):
        rows.append(
            {
                "engine": f"insightface:{pack.name}",
                "n_dims": pack.n_dims,
                "bytes": pack.size,
                "licence": pack.licence,
                "state": pack.state,
                "folder": str(pack.folder),
            }
        )
    if as_json:
        print_json(rows)
        return
    header = ("engine", "dimensions", "MB", "licence", "files")
    print_table(header, [_row(row) for row in rows], prose=("licence",), whole=("engine",))
    echo(f"packs are kept in {_folder(state)}")


def _row(facts: dict[str, Any]) -> tuple[object, ...]:
    n_dims = "-" if facts["n_dims"] is None else facts["n_dims"]
    size = round(facts["bytes"] / 1e6) if facts["bytes"] else "-"
    return (facts["engine"], n_dims, size, facts["licence"], facts["state"])


def _standard() -> dict[str, Any]:
    """Return the row of the engine that needs nothing: its models are a package."""
    from importlib.util import find_spec

    from facewatch.engines import describe_engine

    info = describe_engine(STANDARD)
    spec = find_spec("face_recognition_models")
    folder = Path(spec.origin).parent / "models" if spec and spec.origin else Path()
    return {
        "engine": info.name,
        "n_dims": info.n_dims,
        "bytes": sum(file.stat().st_size for file in folder.glob("*.dat")),
        "licence": info.licence,
        "state": "present",
        "folder": str(folder),
    }


@_command("fetch", "Download a pack.")
@click.argument("pack")
@click.option("--yes", is_flag=True, help="Accept the licence without being asked.")
@pass_state
def fetch(state: State, pack: str, yes: bool) -> None:
    """Download the files of the engine insightface:PACK: buffalo_l, buffalo_m, buffalo_s or antelopev2.

    Shows what it is, its size and its licence, and asks first. Only the detector and the recogniser of the archive are
    kept. An interrupted download is resumed. $FACEWATCH_MODELS_URL names a mirror.

    \b
    Example:
      facewatch models fetch buffalo_l
    """
    from facewatch.models import fetching, packs

    folder, name = _folder(state), fetching.known_pack(pack).name
    was_here = fetching.is_whole(name, folder)
    if not was_here:
        if not yes:
            _ask(name)
        with progress_bar(f"fetching {name}", is_shown=not state.is_quiet, in_bytes=True) as report:
            fetching.fetch(name, folder, report)
    _say_ready(state, packs.find_pack(name, folder), was_here=was_here)


def _ask(name: str) -> None:
    from facewatch.models import fetching, packs

    known = fetching.known_pack(name)
    echo(
        f"{name}: {packs.megabytes(known.archive.size)} from {fetching.archive_address(name)}; "
        f"{packs.megabytes(known.size)} are kept\n{known.licence}",
        is_error=True,
    )
    if not is_somebody_there():
        raise click.UsageError("nobody is there to be asked; --yes accepts the licence and fetches it")
    if not is_confirmed("Fetch it?", unasked="--yes to fetch it"):
        raise FacewatchError("nothing was fetched; `facewatch models import DIR` takes files that you have")


def _say_ready(state: State, pack: Pack, *, was_here: bool) -> None:
    if state.is_quiet:
        return
    news = "already here, " if was_here else ""
    echo(f"insightface:{pack.name}: {news}{pack.n_dims} dimensions, in {pack.detector.parent}")
    echo(f"licence: {pack.licence}")
    echo(f"next: facewatch scan --engine insightface:{pack.name}")


@_command("import", "Take a pack from a folder or a zip archive.")
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", help="What to call it; the default is the folder's name.")
@click.option("--force", is_flag=True, help="Replace another pack of that name, or a damaged one.")
@pass_state
def import_(state: State, source: Path, name: str | None, force: bool) -> None:
    """Copy the detector and the recogniser in DIR, a folder of ONNX files or a zip archive, into the models folder.

    The detector is an SCRFD network with landmarks, the recogniser takes faces of 112 x 112 pixels as ArcFace does.
    Other models in DIR are left out.

    \b
    Example:
      facewatch models import ~/.insightface/models/buffalo_l
    """
    from facewatch.models.importing import import_pack

    same: list[bool] = []
    pack = import_pack(source, _folder(state), name=name, force=force, on_same=lambda: same.append(True))
    _say_ready(state, pack, was_here=bool(same))


@_command("verify", "Look for damage in model files.")
@click.argument("pack", required=False)
@json_option
@pass_state
def verify(state: State, pack: str | None, as_json: bool) -> None:
    """Check the SHA-256 of the model files of insightface:PACK, or of all installed packs.

    There is none to compare with for files that were copied into the models folder by hand; "facewatch models import"
    records it.

    Exit code 7: something is damaged.

    \b
    Example:
      facewatch models verify buffalo_l
    """
    from facewatch.models import packs

    folder = _folder(state)
    here = [found.name for found in packs.list_packs(folder) if found.state != "absent"]
    faults = {name: packs.verify(name, folder) for name in ([packs.plain_name(pack)] if pack else here)}
    on_record = {name for name in faults if packs.is_on_record(name, folder)}
    if as_json:
        print_json(
            [
                {"engine": f"insightface:{name}", "faults": found, "is_on_record": name in on_record}
                for name, found in faults.items()
            ]
        )
    else:
        _print_faults(folder, faults, on_record)
    damaged = [f"insightface:{name}" for name, found in faults.items() if found]
    if damaged:
        advice = "" if as_json else "; what is wrong and what to do stands above"
        raise EngineError(f"{plural(len(damaged), 'damaged pack')}: {', '.join(damaged)}{advice}")


def _print_faults(folder: Path, faults: dict[str, list[str]], on_record: set[str]) -> None:
    from facewatch.models.packs import remedy

    if not faults:
        echo(f"{folder}: no packs; facewatch models lists those that can be fetched")
    for name, found in faults.items():
        if not found:
            echo(f"insightface:{name}: {'whole' if name in on_record else _unrecorded(name, folder)}")
            continue
        echo(f"insightface:{name}: {plural(len(found), 'fault')}; {remedy(name)}")
        for fault in found:
            echo(f"- {fault}")


def _unrecorded(name: str, folder: Path) -> str:
    place = Path(name).expanduser() if "/" in name else folder / name
    return (
        "a detector and a recogniser, but no SHA-256 is on record, so whether they are whole cannot be checked; "
        f"`facewatch models import {shlex.quote(str(place))}` writes it down"
    )


@command("engines", "List the engines used on this catalog.")
@click.option("--prune", is_flag=True, help="Delete the embeddings of engines that are neither used nor wanted.")
@json_option
@pass_state
def engines(state: State, prune: bool, as_json: bool) -> None:
    """List the engines that have analysed this catalog, and the space their embeddings take.

    The embeddings of an engine that is no longer used make it quick to go back to it; --prune deletes them.

    \b
    Example:
      facewatch engines --prune
    """
    from facewatch.presentation import catalog as words

    with state.app() as app:
        n_freed = app.engine.prune_others() if prune else 0
        found = app.catalog.engines.all()
    if as_json:
        print_json({"n_freed": n_freed, "engines": list(map(words.engine_row, found))})
        return
    if prune and not state.is_quiet:
        echo(f"{plural(n_freed, 'vector')} freed")
    if found:
        cells = list(map(words.engine_cells, found))
        print_table(words.ENGINES_HEADER, cells, prose=("licence",), whole=("engine",))
    else:
        echo("none yet: facewatch scan PHOTOS")
