"""The command `export`: every face as a row, or photos and faces of people in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.output import echo, print_csv, print_json, progress_bar
from facewatch.cli.program import Choice, State, command, pass_state

if TYPE_CHECKING:
    from facewatch.folders.export import ExportForm

SIDE = 512
"""Pixels of a face, at most, if nobody says how many: more than any recogniser takes."""
MOST_SIDE = 4000


@command("export", "Print one row per face, or write photos of people into a folder.")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.argument("words", nargs=-1)
@click.option("--person", "named", multiple=True, metavar="WHO", help="Only this person; several times for several.")
@click.option("--flat", "is_flat", is_flag=True, help="All in one folder, instead of a folder per person.")
@click.option("--link", type=Choice(["copy", "symlink", "hardlink"]), help="How photos get there (copy).")
@click.option("--faces", "is_faces", is_flag=True, help="The faces, cut out, instead of photos.")
@click.option("--margin", type=click.FloatRange(0, 5), help="Around a face, as a share of it (0.3).")
@click.option("--size", type=click.IntRange(16, MOST_SIDE), metavar="PIXELS", help=f"Of a face, at most ({SIDE}).")
@click.option("--sure", "is_sure", is_flag=True, help="Only faces that you, or a file of yours, gave to somebody.")
@click.option("--dry-run", is_flag=True, help="Show what would be written without writing it.")
@click.option("--csv", "kind", flag_value="csv", help="Without FOLDER: CSV with a header line (the default).")
@click.option("--json", "kind", flag_value="json", help="A list of objects; with FOLDER the facts.")
@pass_state
def export(
    state: State,
    folder: Path | None,
    words: tuple[str, ...],
    named: tuple[str, ...],
    is_flat: bool,
    link: str | None,
    is_faces: bool,
    margin: float | None,
    size: int | None,
    is_sure: bool,
    dry_run: bool,
    kind: str | None,
) -> None:
    """Without FOLDER: print one row per face: path, face_id, person_id, name, x, y, w, h, distance, source, turn.

    Paths are absolute; the box is in pixels of the upright photo; turn says by how many degrees clockwise the photo has
    to be turned for the face to be upright; what is unknown is empty. Behind the faces comes, with the source
    "present" and neither face nor box, who is in a photo without a face (see `facewatch present`).

    With FOLDER: write the photos of everybody who has a name, or of the people named with --person, into a folder for
    each of them. WORDS say which photos, as in `facewatch photos`: 2019, since 2019, in:Holidays, without Carl.
    --faces writes the faces instead, upright and numbered, which is a folder that `facewatch evaluate` takes.

    FOLDER must be new, empty, or of an earlier export of the same kind, and lie outside the libraries and the people
    folder. What is in it stays as it is, and what is missing is added: so an export that was stopped goes on.

    \b
    Example:
      facewatch export --csv > faces.csv
      facewatch export ~/For-Anna --person Anna since 2019
      facewatch export /media/stick/Family --flat with Anna or Ben
      facewatch export ~/Labelled --faces --sure

    \b
    Exit codes:
      0 done, also when single photos could not be read; 2 command line, or words
      that are not understood; 5 catalog; 6 another export writes there; 8 FOLDER
      cannot be used; 9 unknown or ambiguous person, or nobody has a name
    """
    chosen = {"--person": named, "--flat": is_flat, "--link": link, "--faces": is_faces, "--sure": is_sure}
    cutting = {"--margin": margin is not None, "--size": size is not None}
    _check_options(folder, kind, chosen | cutting | {"--dry-run": dry_run})
    if folder is None:
        _print_rows(state, as_json=kind == "json")
        return
    if is_faces and link:
        raise click.UsageError("--faces writes pictures, which are no links: leave out --link")
    if any(cutting.values()) and not is_faces:
        raise click.UsageError(f"{' and '.join(name for name in cutting if cutting[name])}: only with --faces")
    form = _form(is_faces=is_faces, link=link, is_flat=is_flat, margin=margin, size=size)
    _export(state, folder, form, words, named, is_sure=is_sure, dry_run=dry_run, as_json=kind == "json")


def _check_options(folder: Path | None, kind: str | None, given: dict[str, object]) -> None:
    names = [name for name, value in given.items() if value]
    if folder is None and names:
        raise click.UsageError(f"{' and '.join(names)}: only with a FOLDER to write into")
    if folder is not None and kind == "csv":
        raise click.UsageError("--csv prints rows and takes no FOLDER; --json prints the facts of an export into it")


def _form(*, is_faces: bool, link: str | None, is_flat: bool, margin: float | None, size: int | None) -> ExportForm:
    from facewatch.folders.export import ExportForm
    from facewatch.indexing.cutting import MARGIN

    if is_faces:
        return ExportForm("faces", is_flat=is_flat, side=size or SIDE, margin=MARGIN if margin is None else margin)
    return ExportForm(link=link or "copy", is_flat=is_flat)  # type: ignore[arg-type]


def _print_rows(state: State, *, as_json: bool) -> None:
    from facewatch.presentation.catalog import EXPORT_COLUMNS, export_rows

    with state.app() as app:
        rows = list(export_rows(app.catalog))
    if as_json:
        print_json([dict(zip(EXPORT_COLUMNS, row, strict=True)) for row in rows])
    else:
        print_csv(EXPORT_COLUMNS, rows)


def _export(
    state: State,
    folder: Path,
    form: ExportForm,
    words: tuple[str, ...],
    named: tuple[str, ...],
    *,
    is_sure: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from facewatch.people.exporting import people_to_export
    from facewatch.people.photos.words import words_of_arguments
    from facewatch.presentation import export as said

    root = folder.absolute()
    with (
        state.app() as app,
        progress_bar("exporting", is_shown=not state.is_quiet) as report,
        app.exporter(root, form) as exporter,
    ):
        query = app.photos().understand(words_of_arguments(words), here=Path.cwd())
        export = exporter.wanted(query, people_to_export(app.catalog, named), is_sure=is_sure)
        if dry_run:
            plan = exporter.folder.plan(export.items)
            row, lines = said.export_row(root, form, plan, export), said.planned_lines(root, form, plan, export)
        else:
            done = exporter.run(export, report)
            row, lines = said.exported_row(root, form, done, export), said.exported_lines(root, form, done, export)
    if as_json:
        print_json(row)
    elif dry_run or not state.is_quiet:
        for line in lines:
            echo(line)
