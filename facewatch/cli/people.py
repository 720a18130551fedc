"""Every command: parse, call the service, print. No rules of its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facewatch import ids
from facewatch.cli import everybody
from facewatch.cli.group import command
from facewatch.cli.options import Choice, State, json_option, pass_state, set_up_logging
from facewatch.cli.output import echo, plural, print_csv, print_json, print_table, progress_bar
from facewatch.clustering import METHODS
from facewatch.text import beside_strangers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from facewatch.app import ScanResult, Service
    from facewatch.catalog import Person
    from facewatch.folders.taking_over import TakenOver
    from facewatch.people.identities import Alike
    from facewatch.reports.status import Status

EXPORT_COLUMNS = ("path", "face_id", "person_id", "name", "x", "y", "w", "h", "distance", "source", "turn")
"""A promise to other programs."""


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


@command("scan", "Scan photo libraries once.")
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path))
@click.option("--engine", help="face_recognition, or insightface:PACK; `facewatch models` lists the packs.")
@click.option(
    "--aligned/--no-aligned",
    default=None,
    help="PHOTOS are aligned crops of one face each, so detection is skipped. Remembered.",
)
@click.option(
    "--new-drive",
    "is_new_drive",
    is_flag=True,
    help="The drive was replaced; photos that are missing on it are gone.",
)
@json_option
@pass_state
def scan(
    state: State,
    photos: tuple[Path, ...],
    engine: str | None,
    aligned: bool | None,
    is_new_drive: bool,
    as_json: bool,
) -> None:
    """Scan the libraries PHOTOS once and bring the catalog and the folders up to date.

    Without PHOTOS, the libraries in the settings are scanned, or those scanned before. Photos that are known already
    are skipped, unless the settings name another engine: then all of them are analysed again, and people, names and
    decisions are carried over at the end. While a watcher is at work this only says how far it is (exit code 6).

    \b
    Example:
      facewatch scan ~/Pictures
      facewatch scan ~/Pictures --engine insightface:buffalo_l
    """
    from facewatch.cli.status import doing_just_that
    from facewatch.errors import BusyError

    if aligned is not None and not photos:
        raise click.UsageError("--aligned needs PHOTOS: name the folders of face crops")
    set_up_logging(state.loudness)
    # Before the progress bar stands between us and the terminal.
    screen = everybody.NO_SCREEN if as_json or state.is_quiet else everybody.screen_here()
    with (
        _service(state, photos, engine, aligned=bool(aligned), needs_catalog=False) as service,
        progress_bar("looking at photos", is_shown=not state.is_quiet) as report,
    ):
        if aligned is False:
            service.libraries.forget_aligned(service.libraries.roots)
        if is_new_drive:
            service.libraries.believe_new_drives()
        try:
            result = service.scan_all(report)
        except BusyError as error:
            given = {"--engine": engine, "--aligned": aligned is not None, "--new-drive": is_new_drive}
            beyond = [*(name for name, value in given.items() if value), *map(str, photos)]
            raise BusyError(doing_just_that(service.catalog.path, beyond) or str(error)) from error
        status = service.status()
        found = everybody.show_found(service, result, screen, report)
        hint = everybody.better_engine(service) if result.is_first and result.n_faces else None
    if as_json:
        print_json(asdict(result) | {"contact_sheet": str(found.sheet) if found and found.sheet else None})
    elif not state.is_quiet:
        _print_scan(result, status)
        if found:
            everybody.print_found(found)
        _print_next(status, hint)


def _print_scan(result: ScanResult, status: Status) -> None:
    for old, new in result.libraries_moved.items():
        echo(f"{old}: was moved to {new}")
    done = [
        f"{plural(result.n_files, 'file')} looked at in {result.seconds:.1f} s: {result.n_new} new, "
        f"{result.n_known - result.n_same} copied, {result.n_moved} moved, {result.n_missing} gone, "
        f"{result.n_faulty} faulty" + (f", {result.n_other} no photos" if result.n_other else ""),
        _found_in(result),
        f"{status.people_folder}: {plural(result.n_links_made, 'link')} made, {result.n_links_removed} removed",
    ]
    echo("\n".join(done))
    if result.n_again:
        echo(f"{plural(result.n_again, 'photo')} looked at anew")
    if result.engine_before == result.engine:
        echo(f"{result.engine} sees faces in a new way now; names and decisions stay")
    elif result.engine_before:
        echo(f"{result.engine} is in use now; until now it was {result.engine_before}")
    elif status.switch:
        echo(f"{result.engine} has more to look at: facewatch status")
    if status.faults:
        echo(f"{plural(len(status.faults), 'file')} could not be used: facewatch status lists why")


def _found_in(result: ScanResult) -> str:
    """Return what became of the faces that came, and of those that were there."""
    new = f"{plural(result.n_faces, 'new face')}: {result.n_placed} placed" if result.n_faces else "no new faces"
    before = f", {plural(result.n_placed_before, 'earlier face')} placed" if result.n_placed_before else ""
    return f"{new}{before}, {plural(result.n_new_people, 'new person', 'new people')}"


def _print_next(status: Status, hint: str | None) -> None:
    if hint:
        echo(hint)
    if status.n_people > status.n_named:
        echo("next: facewatch review, which shows faces and asks who they are")


@command("people", "List the people found.")
@click.argument("who", nargs=-1)
@click.option("--look-alikes", "are_look_alikes", is_flag=True, help="List pairs of named people who look alike.")
@click.option("--table", "is_table", is_flag=True, help="Print the table even if faces can be drawn.")
@click.option(
    "-n", "most", type=click.IntRange(min=1), metavar="N", help="Show only N people; else 20 are drawn, all listed."
)
@click.option(
    "--contact-sheet",
    "sheet",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Write a page with everybody's faces for a browser, by default into the people folder.",
)
@click.option("--force", is_flag=True, help="With --contact-sheet: overwrite any FILE.")
@json_option
@pass_state
def people(
    state: State,
    who: tuple[str, ...],
    are_look_alikes: bool,
    is_table: bool,
    most: int | None,
    sheet: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """List the people found, or those named WHO: id, name, faces, photos, folder.

    A terminal that can draw faces (see `facewatch review`) shows those of the people with the most photos instead.

    \b
    Example:
      facewatch people
      facewatch people Anna p12
      facewatch people --table
      facewatch people --contact-sheet
      facewatch people --look-alikes
    """
    from facewatch.people.portraits import shown_people

    if who and (are_look_alikes or sheet is not None):
        raise click.UsageError("--look-alikes and --contact-sheet are about everybody; leave out WHO")
    with _service(state) as service:
        if are_look_alikes:
            _print_look_alikes(service.look_alikes(), as_json)
            return
        if sheet is not None:
            _write_sheet(state, service, Path(sheet) if sheet else None, force=force, as_json=as_json)
            return
        found = _people_found(service, who)
        visible = found if who else shown_people(service.catalog)
        is_drawn = not (is_table or as_json)
        if is_drawn and everybody.print_people(service, everybody.screen_here(), most or everybody.N_DRAWN, visible):
            return
        root = service.folder.root
        rows: list[dict[str, Any]] = [
            {
                "id": person.id,
                "name": person.label,
                "faces": person.n_faces,
                "photos": person.n_photos,
                "folder": str(root / person.folder) if person.folder else "",
                "is_named": person.name is not None,
                "is_hidden": person.is_hidden,
                "born": person.born,
                "cover": person.cover_id,
            }
            for person in found
        ]
    n_all, rows = len(rows), rows[:most]
    if as_json:
        print_json(rows)
    elif rows:
        header = ("id", "name", "faces", "photos", "folder")
        hidden = {"folder": "(hidden)"}
        shown = [row | {"id": ids.person(row["id"])} | (hidden if row["is_hidden"] else {}) for row in rows]
        print_table(header, [tuple(row[key] for key in header) for row in shown])
        if n_all > len(rows):
            echo(f"{len(rows)} of {n_all} people")
    else:
        echo("nobody yet: facewatch scan PHOTOS looks for people")


def _people_found(service: Service, who: Sequence[str]) -> list[Person]:
    """Return the people with these names or ids, each once; without any all who are on photos or have a name.

    Raises:
        NotKnownError: somebody is not known.
    """
    from facewatch.people.lookup import find_person

    if who:
        return list({person.id: person for person in (find_person(service.catalog, one) for one in who)}.values())
    return [person for person in service.catalog.people.all() if person.n_photos or person.name]


def _write_sheet(state: State, service: Service, file: Path | None, *, force: bool, as_json: bool) -> None:
    set_up_logging(state.loudness)
    if file is not None:
        everybody.check_sheet_file(service, file, force=force)
    with progress_bar("cutting out faces", is_shown=not state.is_quiet) as report:
        written = everybody.write_contact_sheet(service, file, report=report)
    if as_json:
        print_json({"contact_sheet": str(written)})
    elif not state.is_quiet:
        echo(f"wrote {written}")


def _print_look_alikes(pairs: Sequence[Alike], as_json: bool) -> None:
    if as_json:
        print_json([asdict(pair) for pair in pairs])
    elif pairs:
        header = ("id", "name", "id", "looks like", "nearest faces", "stricter by", "similarity")
        print_table(header, [_look_alike_row(pair) for pair in pairs])
    else:
        echo("no two people with names look alike")


def _look_alike_row(pair: Alike) -> tuple[object, ...]:
    one, other = ids.person(pair.person_id), ids.person(pair.other_id)
    similarity = beside_strangers(pair.evidence.similarity, pair.evidence.strangers) if pair.evidence else "-"
    return one, pair.name, other, pair.other_name, pair.distance, pair.stricter, similarity


@command("recluster", "Group unassigned faces again.")
@click.option("--method", type=Choice(list(METHODS)), help="How to group; the default is in the settings.")
@click.option("--dry-run", is_flag=True, help="Show what would be done without doing it.")
@json_option
@pass_state
def recluster(state: State, method: str | None, dry_run: bool, as_json: bool) -> None:
    """Group the unassigned faces. Named people are never changed; unnamed ones may grow or be merged.

    \b
    Example:
      facewatch recluster --dry-run
    """
    set_up_logging(state.loudness)
    with _service(state, cluster__method=method) as service:
        result = service.recluster(is_dry_run=dry_run)
        if not dry_run:
            service.sync_folders()
    if as_json:
        print_json(asdict(result))
    elif not state.is_quiet:
        would = "would be " if dry_run else ""
        echo(
            f"{plural(result.n_pool, 'face')} belonged to nobody: {result.n_matched} {would}matched to known people, "
            f"{result.n_grouped} {would}grouped; {plural(result.n_new_people, 'new person', 'new people')}, "
            f"{result.n_joined_people} {would}joined to another"
        )


@command("folders", "Bring the people folder up to date.")
@click.option("--dry-run", is_flag=True, help="Show what would be done without doing it.")
@click.option("--take-over", is_flag=True, help="Make the folder of a catalog that is gone this one's.")
@json_option
@pass_state
def folders(state: State, dry_run: bool, take_over: bool, as_json: bool) -> None:
    """Bring the people folder up to date with the catalog. Running it twice changes nothing.

    A people folder that was deleted is made anew. One of another catalog is refused; with --take-over it is this one's
    from then on, and the names of its folders are given to the same people again, at once or after the next scan.

    \b
    Example:
      facewatch folders --dry-run
    """
    if dry_run and take_over:
        raise click.UsageError("--take-over and --dry-run contradict each other; choose one")
    set_up_logging(state.loudness)
    with _service(state) as service:
        service.folder.believe_deleted()
        taken = service.take_over() if take_over else None
        if not dry_run:
            service.folder.check()
        plan = service.folder.plan()
        steps = plan.describe()
        if not dry_run:
            service.sync_folders()
    if as_json:
        print_json({"dry_run": dry_run, "steps": steps} | ({"taken_over": asdict(taken)} if taken else {}))
    elif not state.is_quiet:
        for line in _what_was_taken_over(taken) if taken else ():
            echo(line)
        for step in steps:
            echo(step)
        would = "would be taken" if dry_run else "taken"
        echo(f"{service.folder.root}: {plural(len(steps), 'step')} {would}")


def _what_was_taken_over(taken: TakenOver) -> Iterator[str]:
    yield f"taken over: {plural(taken.n_links, 'link')}"
    if taken.names:
        yield f"the same people get these names, at once or after the next scan: {', '.join(taken.names)}"
    for folder in taken.left:
        yield f"{folder}: stays as it is, for what else it holds"


@command("export", "Print one row per face.")
@click.option("--csv", "kind", flag_value="csv", default="csv", help="CSV with a header line (the default).")
@click.option("--json", "kind", flag_value="json", help="A list of objects.")
@pass_state
def export(state: State, kind: str) -> None:
    """Print one row per face: path, face_id, person_id, name, x, y, w, h, distance, source, turn.

    Paths are absolute; the box is in pixels of the upright photo; turn says by how many degrees clockwise the photo has
    to be turned for the face to be upright; what is unknown is empty.

    \b
    Example:
      facewatch export --csv > faces.csv
    """
    with _service(state) as service:
        rows = [
            (path, *("" if value is None else value for value in rest))
            for path, *rest in service.catalog.faces.export_rows()
        ]
    if kind == "json":
        print_json([dict(zip(EXPORT_COLUMNS, row, strict=True)) for row in rows])
    else:
        print_csv(EXPORT_COLUMNS, rows)


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
    with _service(state) as service:
        n_freed = service.prune_engines() if prune else 0
        rows = [asdict(engine) | {"n_bytes": engine.n_bytes} for engine in service.engines()]
    if as_json:
        print_json({"n_freed": n_freed, "engines": rows})
        return
    if prune and not state.is_quiet:
        echo(f"{plural(n_freed, 'vector')} freed")
    if rows:
        header = ("engine", "in use", "dimension", "photos", "vectors", "MB", "licence")
        print_table(header, [_engine_row(row) for row in rows], prose=("licence",), whole=("engine",))
    else:
        echo("none yet: facewatch scan PHOTOS")


def _engine_row(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        *(row["name"], "yes" if row["is_in_use"] else "", row["n_dims"], row["n_photos"], row["n_faces"]),
        *(f"{row['n_bytes'] / 1e6:.1f}", row["licence"]),
    )


@command("demo", "Try it without photos of your own.")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@pass_state
def demo(state: State, folder: Path | None) -> None:
    """Try facewatch without photos of your own: make a small library in FOLDER (or a temporary one) and scan it.

    \b
    Example:
      facewatch demo
    """
    from facewatch.cli.demo import run_demo

    set_up_logging(state.loudness)
    run_demo(folder, is_quiet=state.is_quiet)


def _service(
    state: State, photos: tuple[Path, ...] = (), engine: str | None = None, *, aligned: bool = False, **overrides: Any
) -> Service:
    from facewatch.library.layout import check_library

    for library in photos:
        check_library(library)
    named = [str(p) for p in photos] or None
    overrides["library__aligned"] = named if aligned else None
    return state.service(library__photos=named, engine__name=engine, **overrides)
