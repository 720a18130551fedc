"""What is done in the people folder with a file manager becomes decisions, and is undone like any other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drawn import Library, sync_people

from facewatch.app import App
from facewatch.errors import FolderError
from facewatch.folders.disk import make_link
from facewatch.folders.model import MARKER, PART, LinkKind


def whose(library: Library) -> dict[str, list[str | None]]:
    """Return, for each photo, who its faces are, from left to right."""
    with library.app() as app:
        names = {file.name: file for file in library.photos.rglob("*.png")}
        return {
            name: [face["name"] for face in app.lookup.photo(file)["faces"]] for name, file in sorted(names.items())
        }


def entries(app: App) -> list[tuple[str, Any]]:
    """Return what the journal holds, the newest last: what was done, and from where."""
    return [(entry.action, entry.details.get("source")) for entry in app.catalog.journal.entries()]


@pytest.fixture
def place(family: Library) -> Library:
    """Anna on a and b, Ben on a, c and d, somebody on e and f; g is nobody's."""
    assert set(family.tree()) == {
        *("Anna/a.png", "Anna/b.png", "Ben/a.png", "Ben/c.png", "Ben/d.png"),
        *("_unnamed/Person 0003/e.png", "_unnamed/Person 0003/f.png"),
    }
    return family


def test_a_deleted_link_is_not_that_person(place: Library, run: Any) -> None:
    (place.people / "Anna/a.png").unlink()
    told = run("folders").out
    assert "Anna: 1 face rejected, because its link is gone: Anna/a.png" in told
    assert whose(place)["a.png"] == [None, "Ben"]
    assert "Anna/a.png" not in place.tree()
    assert run("folders", "--json").out.count("rejected") == 0


def test_a_link_that_was_deleted_in_a_folder_that_was_renamed_is_told_by_the_new_name(place: Library, run: Any) -> None:
    (place.people / "Anna").rename(place.people / "Zoe")
    (place.people / "Zoe/a.png").unlink()
    assert "Zoe: 1 face rejected, because its link is gone: Zoe/a.png" in run("folders").out


def test_a_renamed_folder_is_a_name(place: Library, run: Any) -> None:
    (place.people / "Anna").rename(place.people / "Anne Marie")
    assert "Anna is Anne Marie now, because the folder is called so" in run("folders").out
    assert whose(place)["a.png"] == ["Anne Marie", "Ben"]
    assert {"Anne Marie/a.png", "Anne Marie/b.png"} < set(place.tree())
    assert not (place.people / "Anna").exists()


def test_two_folders_that_have_each_others_names_are_two_names_also_on_photos_of_both(place: Library, run: Any) -> None:
    before, tree = whose(place), set(place.tree())
    (place.people / "Anna").rename(place.people / "x")
    (place.people / "Ben").rename(place.people / "Anna")
    (place.people / "x").rename(place.people / "Ben")
    told = run("folders").out
    assert "Anna is Ben now, because the folder is called so" in told
    assert "Ben is Anna now, because the folder is called so" in told
    other = {"Anna": "Ben", "Ben": "Anna"}
    assert whose(place) == {photo: [other.get(one, one) for one in people] for photo, people in before.items()}
    assert run("folders").out.endswith("0 steps taken\n")
    undone = run("undo")
    assert undone.out.startswith("undone: Anna named Ben, Ben named Anna, in the people folder\n")
    assert undone.code == 0
    assert (whose(place), set(place.tree())) == (before, tree)
    assert run("folders").out.endswith("0 steps taken\n")


def test_a_moved_link_is_the_face_of_who_had_it(place: Library, run: Any) -> None:
    (place.people / "Anna/a.png").rename(place.people / "_unnamed/Person 0003/a.png")
    assert "Anna: 1 face assigned to Person 0003" in run("folders").out
    assert whose(place)["a.png"] == ["Person 0003", "Ben"]
    assert place.tree()["_unnamed/Person 0003/a.png"] == "a.png"


def test_a_link_that_was_moved_one_level_higher_is_mended(place: Library, run: Any) -> None:
    (place.people / "_unnamed/Person 0003/e.png").rename(place.people / "Anna/e.png")
    assert not (place.people / "Anna/e.png").exists()
    run("folders")
    assert place.tree()["Anna/e.png"] == "e.png"
    assert whose(place)["e.png"] == ["Anna"]


@pytest.mark.parametrize("action", ["delete", "rename", "move"])
def test_undo_brings_the_folder_back(place: Library, run: Any, action: str) -> None:
    before, faces = place.tree(), whose(place)
    link = place.people / "Anna/a.png"
    if action == "delete":
        link.unlink()
    elif action == "rename":
        link.parent.rename(place.people / "Anne")
    else:
        link.rename(place.people / "_unnamed/Person 0003/a.png")
    run("folders")
    assert place.tree() != before
    with place.app() as app:
        assert entries(app)[-1][1] == "folder"
    assert run("undo").code == 0
    assert (place.tree(), whose(place)) == (before, faces)


def test_a_folder_that_was_emptied_says_nothing_and_is_filled_again(place: Library, run: Any) -> None:
    before = place.tree()
    for link in (place.people / "Ben").iterdir():
        link.unlink()
    told = run("folders").out
    assert "Ben: was emptied, which says nothing about Ben" in told
    assert "rejected" not in told
    assert place.tree() == before
    assert whose(place)["c.png"] == ["Ben"]


def killed_copying(place: Library, n_copied: int) -> None:
    """Let another process put copies in the place of links, and be killed when so many are made."""
    child = os.fork()
    if child == 0:
        left = iter(range(n_copied))

        def make(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
            if name == PART and next(left, None) is None:
                os._exit(9)
            make_link(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)

        with place.app(COPIES) as app:
            app.folder._make_link = make
            app.folder.sync()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


COPIES = {"folders.link": "copy"}


@pytest.mark.parametrize("n_copied", range(7))
def test_after_a_kill_what_was_done_is_nobodys_decision_and_what_somebody_does_is_one(
    place: Library, n_copied: int
) -> None:
    killed_copying(place, n_copied)
    (place.people / "Anna/b.png").unlink()
    (place.people / "Ben").rename(place.people / "Benno")
    assert sync_people(place, COPIES) == ["rename", "reject"]
    assert whose(place)["b.png"] == [None]


def dropped(place: Library, who: str, *photos: str) -> None:
    """Link photos in a folder of somebody, as a file manager does that drops them there."""
    (place.people / who).mkdir(exist_ok=True)
    for photo in photos:
        (place.people / who / photo).symlink_to(place.photos / photo)


def test_of_several_faces_of_a_dropped_photo_the_one_is_meant_that_looks_like_the_others(
    place: Library, run: Any
) -> None:
    place.draw("h.png", (7, 0), (4, 1))
    place.scan()
    dropped(place, "Dora", "g.png", "h.png")
    assert "2 faces assigned to Dora, because of links there: Dora/g.png, Dora/h.png" in run("folders").out
    assert (whose(place)["g.png"], whose(place)["h.png"]) == (["Dora"], [None, "Dora"])
    assert {"Dora/g.png", "Dora/h.png"} < set(place.tree())


def test_somebody_new_is_who_is_on_most_of_the_photos_that_were_dropped(place: Library, run: Any) -> None:
    place.draw_all({"h": [(7, 0), (5, 0)], "i": [(5, 1), (8, 0)], "j": [(9, 0), (5, 2)]})
    place.scan()
    dropped(place, "Emil", "h.png", "i.png", "j.png")
    run("folders")
    assert [whose(place)[f"{name}.png"].index("Emil") for name in "hij"] == [1, 0, 1]


def test_a_photo_of_which_several_faces_may_be_meant_is_left_for_somebody_to_say(place: Library, run: Any) -> None:
    place.draw("h.png", (7, 0), (8, 0))
    place.draw_all({"i": [(5, 1), (6, 0)], "j": [(6, 1), (5, 2)]})
    place.scan()
    dropped(place, "Emil", "h.png")
    dropped(place, "Fritz", "i.png", "j.png")
    before = whose(place)
    told = run("folders").out
    for path, who in (("Emil/h.png", "Emil"), ("Fritz/i.png", "Fritz"), ("Fritz/j.png", "Fritz")):
        assert f"{path}: it is not clear which face on it is {who}; `facewatch review` asks" in told
    assert whose(place) == before
    assert (place.people / "Emil/h.png").is_symlink()


@pytest.mark.parametrize("kind", ["hardlink", "copy"])
def test_files_in_place_of_links_are_moved_and_deleted_in_the_same_sense(
    place: Library, run: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.base / "facewatch.toml").write_text(f'[folders]\nlink = "{kind}"\n')
    monkeypatch.chdir(place.base)
    assert run("folders").code == 0
    assert not any(path.is_symlink() for path in place.people.rglob("*.png"))
    (place.people / "Anna/a.png").rename(place.people / "_unnamed/Person 0003/a.png")
    (place.people / "Ben/c.png").unlink()
    told = run("folders").out
    assert "Anna: 1 face assigned to Person 0003" in told
    assert "Ben: 1 face rejected, because its link is gone: Ben/c.png" in told
    assert (whose(place)["a.png"], whose(place)["c.png"]) == (["Person 0003", "Ben"], [None])
    (place.people / "Anna/b.png").write_bytes((place.people / "Anna/b.png").read_bytes() + b"edited")
    assert "rejected" not in run("folders").out
    assert whose(place)["b.png"] == ["Anna"]
    if kind == "copy":
        assert (place.people / "Anna/b.png").read_bytes().endswith(b"edited")


def test_what_two_machines_leave_that_sync_the_folder_means_nothing_twice(place: Library, run: Any) -> None:
    """As Syncthing leaves it where both changed: a conflicting copy beside the link, a hidden name on the way."""
    anna, ben = place.people / "Anna", place.people / "Ben"
    (anna / "a.sync-conflict-20261130-120000-ABCDEFG.png").symlink_to("../../Photos/a.png")
    (anna / ".syncthing.b.png.tmp").symlink_to("../../Photos/b.png")
    before = whose(place)
    assert run("folders").code == 0
    assert whose(place) == before
    # The same decision arrives on both: as a command here, as a moved link from there.
    run("assign", str(place.photos / "e.png") + ":1", "Ben")
    (place.people / "_unnamed/Person 0003/e.png").unlink(missing_ok=True)
    assert (ben / "e.png").is_symlink()
    run("folders")
    assert whose(place)["e.png"] == ["Ben"]
    with place.app() as app:
        assert [one for one in entries(app) if one[1] == "folder"] == []
        assert app.folder.plan().actions == ()


# --- when nothing is concluded ---


def unplug(place: Library) -> None:
    place.people.rename(place.base / "unplugged")
    place.people.mkdir()


def hand_to_another(place: Library) -> None:
    (place.people / MARKER).write_text('{"program": "facewatch", "library": "another"}')


FAULTS: dict[str, tuple[Callable[[Library], object], str, str]] = {
    "no mark": (lambda place: (place.people / MARKER).unlink(), "its mark, the file .facewatch, is gone", "--repair"),
    "rubbish": (lambda place: (place.people / MARKER).write_text("{"), "cannot be read", "--accept"),
    "another's": (hand_to_another, "belongs to another", "--take-over"),
    "unplugged": (unplug, "its mark, the file .facewatch, is gone", "if its disk is away, connect it"),
    "not there": (lambda place: place.people.rename(place.base / "Away"), "it is not there", "if it was renamed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_of_a_folder_that_may_be_another_nothing_is_concluded_and_everybody_says_what_to_do(
    place: Library, run: Any, fault: str
) -> None:
    spoil, what, remedy = FAULTS[fault]
    (place.people / "Anna/a.png").unlink()
    spoil(place)
    before = place.tree()
    asked = [("status",), ("folders", "--dry-run"), ("scan",), *([("folders",)] if fault != "not there" else [])]
    for command in asked:
        told = run(*command)
        assert told.code == (0 if command == ("status",) else 8), command
        assert what in told.out + told.err, command
        assert remedy in told.out + told.err, command
    with place.app() as app, pytest.raises(FolderError, match=what):
        app.folder.sync()
    assert (place.tree(), whose(place)["a.png"]) == (before, ["Anna", "Ben"])


@pytest.mark.parametrize("fault", ["no mark", "rubbish"])
def test_a_folder_whose_mark_is_gone_is_put_back_or_believed_as_one_says(place: Library, run: Any, fault: str) -> None:
    before = place.tree()
    for how, is_anna in (("--repair", True), ("--accept", False)):
        (place.people / "Anna/a.png").unlink()
        FAULTS[fault][0](place)
        told = run("folders", how)
        assert told.code == 0
        assert ("Anna: 1 face rejected, because its link is gone" in told.out) is not is_anna
        assert whose(place)["a.png"] == ["Anna" if is_anna else None, "Ben"]
        assert place.tree() == (before if is_anna else {path: x for path, x in before.items() if path != "Anna/a.png"})
        assert run("folders").out.endswith("0 steps taken\n")


def exchange(people: Path) -> None:
    (people / "Anna").rename(people / "between")
    (people / "Ben").rename(people / "Anna")
    (people / "between").rename(people / "Ben")


def spread(people: Path) -> None:
    (people / "Anna/b.png").rename(people / "Ben/b.png")
    (people / "Dora").mkdir()
    (people / "Ben/c.png").rename(people / "Dora/c.png")
    (people / "_unnamed/Person 0003/e.png").rename(people / "Ben/e.png")


MOVES: dict[str, Callable[[Path], object]] = {
    "renamed": lambda people: (people / "Anna").rename(people / "Zoe"),
    "exchanged": exchange,
    "put into another": lambda people: (people / "Anna").rename(people / "Ben/Anna"),
    "links moved": spread,
}


@pytest.mark.parametrize("how", ["--repair", "ignore"])
@pytest.mark.parametrize("move", MOVES)
def test_what_means_nothing_is_moved_back_and_nothing_stays_beside_it(
    place: Library, run: Any, monkeypatch: pytest.MonkeyPatch, move: str, how: str
) -> None:
    before, owners = place.tree(), whose(place)
    if how == "ignore":
        (place.base / "facewatch.toml").write_text('[folders]\nedit = "ignore"\n')
        monkeypatch.chdir(place.base)
    MOVES[move](place.people)
    planned = run("folders", "--dry-run", "-v").out if how == "ignore" else ""
    done = run("folders", "-v", *(["--repair"] if how == "--repair" else [])).out
    own = {"Dora/c.png": "c.png"} if move == "links moved" else {}
    assert place.tree() == before | own
    assert whose(place) == owners
    assert not planned or planned.replace("would be taken", "taken") == done
    assert run("folders").out.endswith("0 steps taken\n")


def test_copies_of_one_catalog_leave_nothing_of_each_other_in_the_folder(place: Library) -> None:
    """Each moves folders and links as it has them: a backup that is put back by hand does, for instance."""
    copy = Library(place.base, place.photos, place.people, place.base / "copy.sqlite")
    shutil.copy(place.catalog, copy.catalog)
    before = place.tree()
    with copy.app() as app:
        app.corrections.rename("Ben", "Benno")
        app.corrections.rename("Anna", "Ben")
    theirs = place.tree()
    assert {"Ben/a.png", "Ben/b.png", "Benno/c.png"} < set(theirs)
    for library, wanted in ((place, before), (copy, theirs), (place, before)):
        with library.app() as app:
            app.folder.sync()
            assert app.folder.plan().is_empty
        assert place.tree() == wanted


def test_another_people_folder_needs_no_mark(place: Library, run: Any) -> None:
    place.people = place.base / "Elsewhere"
    place.people.mkdir()
    assert "mark" not in run("status").out
    place.scan()
    assert "Anna/a.png" in place.tree()


def test_what_waits_is_said_once(place: Library, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.base / "facewatch.toml").write_text('[folders]\nedit = "ask"\n')
    monkeypatch.chdir(place.base)
    (place.people / "Anna/a.png").unlink()
    waits = "1 change in the people folder waits for your word; `facewatch folders --accept` decides so"
    for command in ("folders", "scan"):
        told = run(command)
        assert (told.out + told.err).count(waits) == 1, command
    assert waits in run("status").out
    run("folders", "--repair")
    assert waits not in run("status").out
    (place.people / "Anna/a.png").unlink()
    assert waits in run("rename", "Anna", "Anne").err, "who is not told otherwise reads it in the log"


def test_what_is_done_already_is_no_step(place: Library, run: Any) -> None:
    (place.people / "Anna/a.png").unlink()
    assert run("folders", "--dry-run").out.endswith("0 steps would be taken\n")
    told = run("folders").out
    assert "done already" not in told
    assert told.endswith("0 steps taken\n")


def test_folders_in_a_group_that_somebody_made_are_moved_back(place: Library, run: Any) -> None:
    before = place.tree()
    (place.people / "Family").mkdir()
    for who in ("Anna", "Ben"):
        (place.people / who).rename(place.people / "Family" / who)
    assert "move folder Family/Anna to Anna" in run("folders").out
    assert place.tree() == before


def test_a_folder_whose_name_is_no_text_waits_for_another(place: Library, run: Any) -> None:
    anna, odd = place.people / "Anna", Path(os.fsdecode(bytes(place.people) + b"/Andr\xe9"))
    anna.rename(odd)
    (place.people / "Ben").rename(place.people / "Benno")
    told = run("folders")
    assert "this folder's name is not UTF-8" in told.out
    assert whose(place)["a.png"] == ["Anna", "Benno"], "the others are followed"
    assert sorted(link.name for link in odd.iterdir()) == ["a.png", "b.png"]
    odd.rename(place.people / "André")
    run("folders")
    assert whose(place)["a.png"] == ["André", "Benno"]
    assert not odd.exists()


def test_a_new_folder_whose_name_is_no_text_is_nobody(place: Library, run: Any) -> None:
    odd = Path(os.fsdecode(bytes(place.people) + b"/Andr\xe9"))
    odd.mkdir()
    (odd / "g.png").symlink_to(place.photos / "g.png")
    assert "is not UTF-8" in run("folders").out
    assert whose(place)["g.png"] == [None]


def test_a_link_in_the_place_of_a_folder_hides_nobody_and_is_said(place: Library, run: Any, tmp_path: Path) -> None:
    """As somebody leaves it who moves a large folder to another disk."""
    before = whose(place)
    (place.people / "Anna").rename(tmp_path / "Anna")
    (place.people / "Anna").symlink_to(tmp_path / "Anna")
    for _ in range(2):
        assert "Anna: is no folder any more, so nothing is done about Anna" in run("folders").out
    with place.app() as app:
        assert entries(app)[-1][1] != "folder"
    (place.people / "Anna").unlink()
    (tmp_path / "Anna").rename(place.people / "Anna")
    assert run("folders").out.endswith("0 steps taken\n")
    assert whose(place) == before


def test_a_hidden_folder_hides_the_person_and_says_so(place: Library, run: Any) -> None:
    (place.people / "Anna").rename(place.people / ".Anna")
    assert "Anna is hidden, because the folder is hidden: .Anna" in run("folders").out
    (place.people / ".Anna").rename(place.people / "Anna")
    assert "Anna is hidden no more" in run("folders").out


def test_a_folder_that_a_program_keeps_under_a_hidden_name_waits(place: Library, run: Any) -> None:
    before = whose(place)
    (place.people / "Anna").rename(place.people / ".unison.Anna.tmp")
    assert ".unison.Anna.tmp: has a hidden name now" in run("folders").out
    assert "Anna/a.png" not in place.tree()
    (place.people / ".unison.Anna.tmp").rename(place.people / "Anna")
    assert run("folders").out.endswith("0 steps taken\n")
    assert whose(place) == before


def test_a_copy_of_a_folder_with_photos_for_links_is_nobody_new(place: Library, run: Any) -> None:
    """As file managers copy it. On some of the photos may be faces that are nobody's."""
    shutil.copytree(place.people / "Ben", place.people / "Benno")
    assert "Benno: left alone, it is a copy of the folder of Ben" in run("folders").out
    shutil.rmtree(place.people / "Ben")
    assert "Ben is Benno now, because the folder is called so" in run("folders").out
    assert whose(place)["c.png"] == ["Benno"]


def test_photos_of_others_and_one_of_a_bystander_are_nobody_new(place: Library, run: Any) -> None:
    with place.app() as app:
        assert app.lookup.photo(place.photos / "g.png")["faces"][0]["person_id"] is None
    dropped(place, "Zoe", "a.png", "b.png", "c.png", "g.png")
    told = run("folders").out
    assert "assigned" not in told
    assert "Zoe/g.png: it is not clear which face on it is Zoe" in told
    assert whose(place)["g.png"] == [None]


def test_a_people_folder_in_a_library_that_is_known_already_is_refused(place: Library, run: Any) -> None:
    """Though whoever names it names no photos."""
    for people in (place.photos / "People", place.photos):
        place.people = people
        refused = run("folders")
        assert f"{people}: must lie beside the photos ({place.photos}), not inside or around them" in refused.err
        assert not (people / MARKER).exists()
        assert "must lie beside the photos" in run("status").out


def test_a_name_that_was_given_by_command_counts_more_than_one_that_a_folder_was_given_before(
    place: Library, run: Any
) -> None:
    (place.people / "Ben").rename(place.people / "Benno")
    assert "is now called Bob" in run("rename", "Ben", "Bob").out
    assert {"Bob/c.png", "Bob/d.png"} < set(place.tree())
    assert not (place.people / "Benno").exists()
    (place.people / "Bob").rename(place.people / "Benno")
    assert "Bob is Benno now" in run("folders").out


def test_many_steps_are_counted_and_each_is_told_who_asks_for_it(place: Library, run: Any) -> None:
    place.draw_looks(5, 50, "more/")
    place.scan()
    (place.people / "_unnamed").rename(place.base / "away")
    told = run("folders", "--repair").out.splitlines()
    assert told[:2] == ["make 2 folders", "make 52 links"]
    assert "folders -v` lists each of such steps" in told[2]
    assert told[3].endswith("54 steps taken")
    shutil.rmtree(place.people / "_unnamed")
    assert len([line for line in run("folders", "--repair", "-v").out.splitlines() if line.startswith("make ")]) == 54


def test_what_is_left_alone_for_one_reason_in_one_folder_is_said_once(place: Library, run: Any) -> None:
    (place.people / "Ben/1.txt").write_text("not known")
    assert run("folders").out.count("left alone") == 1
    for n in range(2, 8):
        (place.people / f"Ben/{n}.txt").write_text("not known")
    told = run("folders").out
    assert "Ben/2.txt: left alone, it stands for no photo of the library (the same of 5 more in Ben)" in told
    assert told.count("left alone") == 1


def test_a_file_of_your_own_is_said_once(place: Library, run: Any) -> None:
    notes = place.people / "Ben/notes.txt"
    notes.write_text("birthday on the 3rd of May")
    assert "Ben/notes.txt: left alone" in run("folders").out
    for command in (["folders"], ["scan", str(place.photos)], ["folders"]):
        assert "notes.txt" not in run(*command).out
    (place.people / "Ben/list.txt").write_text("gifts")
    told = run("folders").out
    assert ("list.txt" in told, "notes.txt" in told) == (True, False)
    notes.unlink()
    (place.people / "Ben/list.txt").unlink()
    assert "left alone" not in run("folders").out
    notes.write_text("birthday on the 3rd of May")
    assert "Ben/notes.txt: left alone" in run("folders").out
    assert notes.read_text() == "birthday on the 3rd of May"


def test_a_command_about_somebody_hidden_says_why_there_is_no_folder(place: Library, run: Any) -> None:
    run("hide", "Anna")
    told = run("rename", "Anna", "Anne").out
    assert "Anne is hidden, and has no folder; `facewatch show p1` makes one" in told
    assert "Anne" not in {path.name for path in place.people.iterdir()}


def test_a_name_that_a_folder_gave_up_may_be_anothers_at_once(place: Library, run: Any) -> None:
    before, tree = whose(place), set(place.tree())
    (place.people / "Anna").rename(place.people / "Zoe")
    (place.people / "_unnamed/Person 0003").rename(place.people / "Anna")
    told = run("folders").out
    assert "Anna is Zoe now, because the folder is called so" in told
    assert "Person 0003 is Anna now, because the folder is called so" in told
    other = {"Anna": "Zoe", "Person 0003": "Anna"}
    assert whose(place) == {photo: [other.get(str(one), one) for one in people] for photo, people in before.items()}
    assert run("folders").out.endswith("0 steps taken\n")
    assert run("undo").code == 0
    assert (whose(place), set(place.tree())) == (before, tree)
