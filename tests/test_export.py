"""Photos and faces exported into a folder: the right ones, whole or not at all, and nobody else's file is touched."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from browsers import Album
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facewatch.app import App
from facewatch.cli import main
from facewatch.config import load_config
from facewatch.errors import BusyError, FolderError
from facewatch.evaluation.labelled import read_labels
from facewatch.folders.disk import LinkMaker, make_link
from facewatch.folders.export import MARK, ExportFolder, ExportForm, ExportItem, plan_export
from facewatch.folders.model import FolderEntry, LinkKind, name_key
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.people.exporting import Exported, people_to_export
from facewatch.types import Fingerprint

FACES = ExportForm("faces", side=100, margin=0.3)


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() and path.name != MARK}


def originals(library: Library) -> dict[str, tuple[bytes, Fingerprint, int]]:
    photos = sorted(library.photos.rglob("*.png"))
    return {one.name: (one.read_bytes(), Fingerprint.of(one.stat()), one.stat().st_mode) for one in photos}


def exported(app: App, folder: Path, form: ExportForm = FACES, *named: str, words: str = "", **wish: bool) -> Exported:
    """Export with faces cut in this process."""
    with app.exporter(folder, form, InlineWorkers(Recipe("fake"))) as exporter:
        query = app.photos().understand(words)
        return exporter.run(exporter.wanted(query, people_to_export(app.catalog, named), **wish))


# --- photos ---


def test_photos_of_everybody_with_a_name_get_a_folder_per_person(family: Library, run: Any) -> None:
    folder, before = family.base / "Out", originals(family)
    assert run("export", str(folder)).out == f"{folder}: 5 copies written\n"
    assert tree(folder) == {"Anna/a.png", "Anna/b.png", "Ben/a.png", "Ben/c.png", "Ben/d.png"}
    for copy in folder.rglob("*.png"):
        assert copy.read_bytes() == (family.photos / copy.name).read_bytes()
        assert copy.stat().st_mtime_ns == (family.photos / copy.name).stat().st_mtime_ns
        assert not copy.is_symlink()
    assert originals(family) == before


def test_the_same_again_adds_only_what_is_new_and_touches_nothing(family: Library, run: Any) -> None:
    folder = family.base / "Out"
    run("export", str(folder))
    (folder / "Anna" / "own.txt").write_text("mine")
    (folder / "Anna" / "b.png").write_text("edited")
    (folder / "Ben" / "c.png").unlink()
    family.draw("h.png", (1, 3))
    family.scan()
    assert run("export", str(folder)).out == f"{folder}: 2 copies written; 4 are there already\n"
    assert (folder / "Anna" / "b.png").read_text() == "edited"
    assert tree(folder) == {*(f"Anna/{one}" for one in ("a.png", "b.png", "h.png", "own.txt")), *BEN}


BEN = {"Ben/a.png", "Ben/c.png", "Ben/d.png"}


def test_who_is_hidden_is_exported_by_name_only(family: Library, run: Any) -> None:
    run("hide", "Anna")
    run("export", str(family.base / "Out"))
    assert tree(family.base / "Out") == BEN
    run("export", str(family.base / "Out"), "--person", "Anna")
    assert tree(family.base / "Out") == {"Anna/a.png", "Anna/b.png"} | BEN


def test_chosen_people_and_photos_in_one_folder(family: Library, run: Any) -> None:
    folder = family.base / "Out"
    assert run("export", str(folder), "--flat", "--person", "Ben", "--person", "p3", "without", "Anna").code == 0
    assert tree(folder) == {"c.png", "d.png", "e.png", "f.png"}
    assert run("export", str(family.base / "One"), "--person", "p3").code == 0
    assert tree(family.base / "One") == {"_unnamed/Person 0003/e.png", "_unnamed/Person 0003/f.png"}


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_links_instead_of_copies(family: Library, run: Any, kind: LinkKind) -> None:
    folder = family.base / "Out"
    said = "3 links" if kind == "symlink" else "3 hard links"
    assert run("export", str(folder), "--link", kind, "--person", "Ben").out == f"{folder}: {said} written\n"
    assert tree(folder) == BEN
    for link in folder.rglob("*.png"):
        assert link.samefile(family.photos / link.name)
        assert link.is_symlink() == (kind == "symlink")
    with family.app() as app:  # nothing is read again for a hard link of ours
        _, changes = app.libraries.scan(family.photos)
    assert (changes.touched, changes.changed) == ((), ())


def test_a_dry_run_says_how_many_and_how_large_and_writes_nothing(family: Library, run: Any) -> None:
    folder = family.base / "Out"
    assert run("export", str(folder), "--dry-run").out.splitlines() == [
        "Anna: 2 copies",
        "Ben: 3 copies",
        f"{folder}: 5 copies would be written, 0.0 MB",
    ]
    facts = json.loads(run("export", str(folder), "--dry-run", "--json", "--person", "Anna").out)
    assert facts["n_bytes"] == sum((family.photos / name).stat().st_size for name in ("a.png", "b.png"))
    assert {file["path"] for file in facts["files"]} == {"Anna/a.png", "Anna/b.png"}
    assert not folder.exists()


def test_photos_of_a_library_that_is_offline_are_counted_and_exported_later(family: Library, run: Any) -> None:
    folder = family.base / "Out"
    family.photos.rename(family.base / "unplugged")
    answer = run("export", str(folder))
    assert answer.code == 0
    assert answer.out.startswith(f"{folder}: 0 copies written\n4 of them are offline:")
    (family.base / "unplugged").rename(family.photos)
    assert "5 copies written" in run("export", str(folder)).out


def test_a_photo_that_is_gone_is_a_fault_of_its_own(family: Library, run: Any) -> None:
    folder = family.base / "Out"
    (family.photos / "c.png").unlink()
    for options in ([], ["--link", "symlink"]):
        shutil.rmtree(folder, ignore_errors=True)
        answer = run("export", str(folder), "--person", "Ben", "--json", *options)
        facts = json.loads(answer.out)
        assert (answer.code, facts["n_made"], tree(folder)) == (0, 2, BEN - {"Ben/c.png"})
        assert facts["faults"] == [
            f"{family.photos}/c.png: not there as it was scanned: facewatch scan, then export again"
        ]


def test_a_stick_that_knows_no_rights_gets_whole_copies(
    family: Library, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    monkeypatch.setattr(os, "link", refuse)
    assert run("export", str(family.base / "Out"), "--person", "Ben").code == 0
    assert tree(family.base / "Out") == BEN
    assert (family.base / "Out/Ben/c.png").read_bytes() == (family.photos / "c.png").read_bytes()


# --- faces ---


def test_faces_are_numbered_pictures_in_a_folder_per_person_which_evaluate_takes(family: Library) -> None:
    folder, before = family.base / "Out", originals(family)
    with family.app() as app:
        assert exported(app, folder).n_made == 5
    assert tree(folder) == {"Anna/0001.jpg", "Anna/0002.jpg", "Ben/0001.jpg", "Ben/0002.jpg", "Ben/0003.jpg"}
    assert dict(read_labels(folder).photos_of()) == {"Anna": 2, "Ben": 3}
    for person, number in (("Anna", 1), ("Ben", 2)):
        for face in (folder / person).iterdir():
            with Image.open(face) as picture:
                # 64 pixels and a margin of 0.3 on each side; nothing is enlarged.
                assert (picture.format, picture.size) == ("JPEG", (100, 100))
                red, _, blue = picture.convert("RGB").getpixel((50, 50))  # type: ignore[misc]
                assert abs(red - number) < 12
                assert abs(blue - 7) < 12
    assert originals(family) == before


def test_new_faces_get_the_next_numbers(family: Library) -> None:
    folder = family.base / "Out"
    with family.app() as app:
        exported(app, folder)
    kept = {path: path.read_bytes() for path in folder.rglob("*.jpg")}
    family.draw("h.png", (1, 3))
    family.scan()
    with family.app() as app:
        assert exported(app, folder).n_made == 1
    assert tree(folder) - {str(path.relative_to(folder)) for path in kept} == {"Anna/0003.jpg"}
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_faces_in_one_folder_bear_the_names_of_their_people(family: Library) -> None:
    form = ExportForm("faces", is_flat=True, side=40)
    with family.app() as app:
        exported(app, family.base / "Out", form, "Anna", "p3")
    found = {"Anna 0001.jpg", "Anna 0002.jpg", "Person 0003 0001.jpg", "Person 0003 0002.jpg"}
    assert tree(family.base / "Out") == found
    with Image.open(family.base / "Out" / "Anna 0001.jpg") as picture:
        assert picture.size == (40, 40)


def test_only_what_somebody_said_is_exported_where_that_is_asked(family: Library) -> None:
    with family.app() as app:
        [face, _] = app.lookup.photo(family.photos / "a.png")["faces"]
        with app.corrections.deciding() as decisions:
            decisions.confirm([f"f{face['face_id']}"])
        assert exported(app, family.base / "Out", is_sure=True).n_made == 1
        assert exported(app, family.base / "Photos too", ExportForm(), is_sure=True).n_made == 1
    assert tree(family.base / "Out") == {"Anna/0001.jpg"}


def test_a_photo_that_was_changed_since_it_was_scanned_is_not_cut(family: Library) -> None:
    family.draw("c.png", (9, 0), (9, 1))
    with family.app() as app:
        done = exported(app, family.base / "Out", FACES, "Ben")
    assert (done.n_made, len(done.faults)) == (2, 1)
    assert done.faults[0].startswith(f"{family.photos}/c.png: not there as it was scanned")


@pytest.mark.slow
def test_evaluate_finds_the_faces_that_were_cut_from_real_photos(
    real_family: Album, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, catalog = tmp_path / "Labelled", tmp_path / "catalog.sqlite"
    shutil.copy(real_family.config.catalog, catalog)
    given = {"library.catalog": str(catalog), "library.people": str(tmp_path / "People")}
    with App(load_config(None, given, cwd=tmp_path)) as app:
        people = [one for one in app.catalog.people.all() if one.n_faces == 4][:2]
        for person, name in zip(people, ("Anna", "Ben"), strict=True):
            app.corrections.rename(f"p{person.id}", name)
    arguments = ["--catalog", str(catalog), "--people", str(tmp_path / "People")]
    assert main(["export", str(folder), "--faces", "--person", "Anna", "--person", "Ben", *arguments]) == 0
    assert len(tree(folder)) == 8
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--batches", "2", "--json", *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["detection"] | {"n_people": found["n_people"]} == {
        **{"n_labelled": 8, "n_found": 8, "n_missed": 0, "n_disputed": 0, "n_false": 0},
        "n_people": 2,
    }


# --- whose folder it is ---


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("full", "is not empty"),
        ("file", "not a folder"),
        ("Photos/new", "only read"),
        (".", "only read"),
        ("People", "people folder"),
        ("People/new", "people folder"),
        ("other", "another catalog"),
        ("damaged", "cannot be read"),
        ("faces", "holds faces of 100 pixels with a margin of 0.3 in a folder per person, not copies of photos in a"),
    ],
)
def test_a_folder_of_somebody_else_is_refused(family: Library, run: Any, place: str, said: str) -> None:
    heads = {"full": None, "other": {"library": "another", "form": {}}, "damaged": {"library": 3}}
    for name, content in heads.items():
        (family.base / name).mkdir()
        (family.base / name / ("letter.txt" if content is None else MARK)).write_text(json.dumps(content))
    (family.base / "file").touch()
    with family.app() as app:
        exported(app, family.base / "faces")
    before = sorted(map(str, family.base.rglob("*")))
    for dry_run in ([], ["--dry-run"]):
        answer = run("export", str(family.base / place), *dry_run)
        assert answer.code == 8
        assert said in answer.err
    assert sorted(map(str, family.base.rglob("*"))) == before


def test_a_link_in_the_place_of_a_persons_folder_is_not_followed(family: Library, run: Any) -> None:
    folder = family.base / "Out"
    run("export", str(folder))
    shutil.rmtree(folder / "Ben")
    (folder / "Ben").symlink_to(family.photos)
    before = originals(family)
    assert run("export", str(folder)).code == 0
    assert originals(family) == before
    assert {path for path in tree(folder) if path.startswith("Ben (2)")} == {f"Ben (2)/{one}.png" for one in "acd"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--flat"], "--flat: only with a FOLDER"),
        (["Out", "--csv"], "takes no FOLDER"),
        (["Out", "--margin", "1"], "only with --faces"),
        (["Out", "--faces", "--link", "symlink"], "leave out --link"),
        (["Out", "--link", "hardlnk"], "Did you mean 'hardlink'?"),
        (["../Out", "deleted"], "leave out 'deleted'"),
    ],
)
def test_what_contradicts_itself_is_refused(family: Library, run: Any, arguments: list[str], said: str) -> None:
    answer = run("export", *arguments)
    assert answer.code == 2
    assert said in " ".join(answer.err.split())
    assert not (family.base / "Out").exists()


def test_without_anybody_who_has_a_name_it_says_how_to_choose(three: Library, run: Any) -> None:
    answer = run("export", str(three.base / "Out"))
    assert answer.code == 9
    assert "nobody has a name yet" in answer.err
    assert run("export", str(three.base / "Out"), "--person", "Nobody").code == 9
    assert not (three.base / "Out").exists()


# --- cut off ---


def failing_after(n: int, error: BaseException) -> LinkMaker:
    """What makes links, and fails in the midst of one when n are made."""
    made: list[str] = []

    def make(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        if len(made) == n:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=dir_fd))
            raise error
        made.append(target)
        make_link(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)

    return make


def export_with(family: Library, make_link: LinkMaker, link: LinkKind = "copy") -> Exported:
    """Export all photos with links made by something else."""
    root, form = family.base / "Out", ExportForm(link=link)
    with family.app() as app, app.exporter(root, form) as exporter:
        exporter.folder = ExportFolder(app.catalog, root, form, people=family.people, make_link=make_link)
        return exporter.run(exporter.wanted(app.photos().understand(""), people_to_export(app.catalog, ())))


def test_an_export_that_was_cut_off_goes_on_where_it_was(family: Library, run: Any) -> None:
    folder = family.base / "Out"
    with pytest.raises(KeyboardInterrupt):
        export_with(family, failing_after(2, KeyboardInterrupt()))
    assert len(tree(folder)) == 2
    # As a kill leaves it: a part, and half a line.
    (folder / f"{MARK}.part").write_text("half")
    with (folder / MARK).open("a") as mark:
        mark.write('["2:3:0", "Ben/c')
    assert run("export", str(folder)).out == f"{folder}: 3 copies written; 2 are there already\n"
    assert tree(folder) == {"Anna/a.png", "Anna/b.png"} | BEN
    assert run("export", str(folder)).out == f"{folder}: 0 copies written; 5 are there already\n"


def test_a_folder_that_a_kill_left_without_a_mark_is_taken(family: Library, run: Any) -> None:
    (family.base / "Out").mkdir()
    (family.base / "Out" / f"{MARK}.part").write_text("half")
    assert run("export", str(family.base / "Out"), "--person", "Ben").code == 0
    assert tree(family.base / "Out") == BEN


def test_a_full_disk_stops_it_and_what_was_made_is_kept(family: Library, run: Any) -> None:
    with pytest.raises(FolderError, match="full disk"):
        export_with(family, failing_after(2, OSError(errno.ENOSPC, "No space left on device")))
    assert "3 copies written; 2 are there already" in run("export", str(family.base / "Out")).out


def test_a_folder_without_room_is_refused_before_anything_is_written(family: Library) -> None:
    with family.app() as app:
        folder = app.exporter(family.base / "Out", ExportForm()).folder
        item = ExportItem(1, None, 1, "Anna", "/photos/a.png", 10**18)
        with pytest.raises(FolderError, match="1000000000000 MB are to be written"), folder.writing([item]):
            pass
    assert tree(family.base / "Out") == set()


def test_a_folder_that_cannot_hold_links_says_what_else_there_is(family: Library) -> None:
    def refuse(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    with pytest.raises(FolderError, match="on two: --link copy"):
        export_with(family, refuse, "hardlink")


def test_a_folder_that_goes_away_meanwhile_is_not_blamed_on_the_photos(family: Library) -> None:
    def unplug(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        shutil.rmtree(family.base / "Out")
        make_link(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)

    with pytest.raises(FolderError, match="not there any more"):
        export_with(family, unplug)


def test_two_exports_do_not_write_into_one_folder_at_once(family: Library) -> None:
    with family.app() as app:
        folder = app.exporter(family.base / "Out", ExportForm()).folder
        with folder.writing([]), pytest.raises(BusyError, match="another export"), folder.writing([]):
            pass


# --- names ---

NAMES = st.sampled_from(["Anna", "anna", "A/B", "A_B", "Café", "Cafe\N{COMBINING ACUTE ACCENT}", "", ".", "CON"])
ITEMS = st.lists(
    st.builds(
        ExportItem,
        st.integers(1, 9),
        st.one_of(st.none(), st.integers(1, 9)),
        st.integers(1, 4),
        st.one_of(st.none(), NAMES),
        st.sampled_from(["/p/a.jpg", "/p/A.JPG", "/q/a.jpg", "/p/sub/b.heic"]),
        st.just(1),
    ),
    unique_by=lambda item: item.key,
)
THERE = st.dictionaries(st.sampled_from(["a.jpg", "0001.jpg", "anna 0001.jpg"]), st.just(FolderEntry("file")))


@given(ITEMS, THERE, st.booleans())
def test_no_two_files_get_one_name_on_any_disk_and_none_that_is_taken(
    items: Sequence[ExportItem], there: dict[str, FolderEntry], is_flat: bool
) -> None:
    form = ExportForm(is_flat=is_flat)
    folders = {"": there} if is_flat else {"": {"Anna": FolderEntry("dir")}, "Anna": there}
    plan = plan_export(items, {}, folders, form=form)
    paths = [file.path for file in plan.made]
    taken = {name if is_flat else f"Anna/{name}" for name in there}
    assert len({name_key(path) for path in [*paths, *taken]}) == len(items) + len(taken)
    assert all(name not in ("", ".", "..") for path in paths for name in path.split("/"))
    again = {file.item.key: file.path for file in plan.made}
    written: dict[str, dict[str, FolderEntry]] = {"": {}}
    for path in paths:
        folder, _, name = path.rpartition("/")
        written.setdefault(folder, {})[name] = FolderEntry("file")
    assert plan_export(items, again, written, form=form) == type(plan)((), len(items))
