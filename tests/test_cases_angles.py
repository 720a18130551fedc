"""Photos that lie on their side or head, and nothing in the file says so; pages of photos that lie in several ways."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from drawn import Library
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage
from sqlite_utils import Database

from facewatch import decode
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.engines import fake, load_engine
from facewatch.engines.options import EngineOptions
from facewatch.indexing import cutting
from facewatch.indexing.analyzer import Analyzer, LibraryFile, Recipe
from facewatch.indexing.turns import QUICK_PIXELS, analyse_turns, turn_of
from facewatch.people.lookup import faces_at
from facewatch.presentation.explain import notes
from facewatch.quality import Limits
from facewatch.types import Analysis, Box, Decoded, DetectedFace, Detection, Engine, Fingerprint, Survey, Tier

TURNS = (90, 180, 270)
Pixels = NDArray[np.uint8]


# --- a made engine: faces are squares with a white hat, and how it lies is how the face does ---

ANNA, BEN, CARL, STRANGER = 1, 2, 3, 200
SIDE = 64
GROUND, BLUE = 120, 7


def square(person: int, *, turn: int = 0, side: int = SIDE) -> Pixels:
    """Return a face, on ground that is as wide as its hat is high, which needs that turn clockwise to be upright."""
    hat = 3 * side // 8
    pixels = np.full((side + 2 * hat, side + 2 * hat, 3), GROUND, np.uint8)
    pixels[hat:-hat, hat:-hat] = (person, 0, BLUE)
    pixels[:hat, hat:-hat] = 255
    return clockwise(pixels, -turn)


def clockwise(pixels: Pixels, turn: int) -> Pixels:
    return np.rot90(pixels, -turn // 90).copy()


def page(*faces: Pixels, width: int = 600, height: int = 400) -> Pixels:
    """Return a picture with faces side by side, all at different heights."""
    pixels = np.full((height, width, 3), GROUND, np.uint8)
    x = 10
    for i, face in enumerate(faces):
        h, w = face.shape[:2]
        pixels[10 + 30 * i : 10 + 30 * i + h, x : x + w] = face
        x += w + 8
    return pixels


class HatEngine(fake.FakeEngine):
    """Sees squares with a hat on surely, and some of those that lie otherwise less so: upside down as somebody else."""

    def __init__(self, **scores: float) -> None:
        """How sure it is of hats by where they are: top, bottom, left, right; 0: it does not see these."""
        self.scores = {"top": 0.9, "bottom": 0.6, "left": 0.0, "right": 0.0} | scores
        self.looked_at: list[tuple[int, ...]] = []
        self.searched: list[tuple[int, ...]] = []

    @property
    def info(self) -> Any:
        return replace(fake.INFO, sure_score=0.65, upright_score=0.75)

    def analyse(self, pixels: Pixels, *, closer: Callable[[], Pixels] | None = None) -> list[DetectedFace]:
        self.looked_at.append(pixels.shape[:2])
        if closer is not None:
            assert closer().shape == (2 * pixels.shape[0], 2 * pixels.shape[1], 3)
        return [
            _face(box, person if hat == "top" else STRANGER, score) for box, person, hat, score in self._see(pixels)
        ]

    def find(self, pixels: Pixels) -> list[Detection]:
        self.searched.append(pixels.shape[:2])
        return [Detection(box, score) for box, _, _, score in self._see(pixels)]

    def _see(self, pixels: Pixels) -> list[tuple[tuple[float, float, float, float], int, str, float]]:
        labels, _ = ndimage.label(np.abs(pixels[:, :, 2].astype(int) - BLUE) < 3)
        seen = []
        for rows, columns in ndimage.find_objects(labels):
            top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
            y, x, step = (top + bottom) // 2, (left + right) // 2, (bottom - top) // 6 + 1
            person = int(pixels[y, x, 0])
            beside = {"top": (top - step, x), "bottom": (bottom + step, x), "left": (y, left - step)}
            beside["right"] = (y, right + step)
            hat = next((side for side, place in beside.items() if pixels[place].min() > 220), "")
            if self.scores.get(hat):
                seen.append(((float(left), float(top), float(right - left), float(bottom - top)), person, hat))
        return [(*one, self.scores[one[2]]) for one in seen]


def _face(box: tuple[float, float, float, float], person: int, score: float) -> DetectedFace:
    made = fake._face(0, 0, person, 0)
    landmarks = np.array(fake._LANDMARKS, np.float32) * box[2:] + box[:2]
    return replace(made, box=box, score=score, landmarks=landmarks.astype(np.float32))


def who(face: DetectedFace) -> int:
    return max((ANNA, BEN, CARL, STRANGER), key=lambda one: float(fake.embedding_of(one, 0) @ face.embedding))


@pytest.mark.parametrize("turn", [0, *TURNS])
def test_a_face_is_given_in_the_photo_s_own_coordinates_whichever_way_the_photo_lies(turn: int) -> None:
    photo = clockwise(page(square(ANNA)), -turn)
    [face] = analyse_turns(HatEngine(), photo)
    assert who(face) == ANNA
    assert turn_of(face.landmarks) == turn
    x, y, w, h = (round(side) for side in face.box)
    assert (w, h) == (SIDE, SIDE)
    assert (photo[y : y + h, x : x + w] == (ANNA, 0, BLUE)).all()
    inside = (face.landmarks > (x, y)) & (face.landmarks < (x + w, y + h))
    assert inside.all()


def test_the_best_score_decides_and_not_who_was_seen_first() -> None:
    """Upside down a face is seen as somebody else's, and no detector says so."""
    engine = HatEngine(bottom=0.7)
    photo = clockwise(page(square(ANNA), square(BEN)), 180)
    assert [who(face) for face in engine.analyse(photo)] == [STRANGER, STRANGER]
    assert sorted(who(face) for face in analyse_turns(engine, photo)) == [ANNA, BEN]


def test_a_wrong_turn_that_is_as_sure_as_upright_faces_are_is_not_believed_either() -> None:
    engine = HatEngine(bottom=0.8)
    photo = clockwise(page(square(ANNA), square(BEN)), 180)
    assert sorted(who(face) for face in analyse_turns(engine, photo)) == [ANNA, BEN]


def test_a_page_of_photos_that_lie_in_several_ways_is_read_in_all_of_them() -> None:
    photo = page(square(ANNA), square(BEN, turn=90), square(CARL, turn=180), square(ANNA, turn=270))
    assert sorted((who(face), turn_of(face.landmarks)) for face in analyse_turns(HatEngine(), photo)) == [
        (ANNA, 0),
        (ANNA, 270),
        (BEN, 90),
        (CARL, 180),
    ]


def test_a_large_face_that_lies_is_seen_beside_a_small_upright_one() -> None:
    photo = page(square(ANNA, side=32), square(BEN, turn=270, side=160))
    assert {(who(face), turn_of(face.landmarks)) for face in analyse_turns(HatEngine(), photo)} == {
        (ANNA, 0),
        (BEN, 270),
    }


@pytest.mark.parametrize("faces", [[], [ANNA], [ANNA, BEN]])
def test_a_photo_with_nothing_that_lies_costs_three_small_searches_more(faces: list[int]) -> None:
    engine = HatEngine()
    analyse_turns(engine, page(*(square(face, side=500) for face in faces), width=3000, height=2000))
    assert engine.looked_at == [(2000, 3000)]
    assert len(engine.searched) == 3
    assert all(height * width <= QUICK_PIXELS * 1.01 for height, width in engine.searched)


class SureEngine(HatEngine):
    """Says of every picture that it shows nothing but what it sees."""

    def survey(self, pixels: Pixels, *, closer: Callable[[], Pixels] | None = None) -> Survey:
        return Survey(self.analyse(pixels, closer=closer), may_show_turned=False)


@pytest.mark.parametrize("faces", [[], [ANNA, BEN]])
def test_a_photo_that_shows_no_sign_of_faces_that_lie_costs_no_search_more(faces: list[int]) -> None:
    engine = SureEngine()
    found = analyse_turns(engine, page(*map(square, faces)))
    assert sorted(map(who, found)) == faces
    assert (engine.looked_at, engine.searched) == ([(400, 600)], [])


def test_small_photos_are_searched_at_half_their_size() -> None:
    engine = HatEngine()
    analyse_turns(engine, page(width=100, height=60))
    assert engine.searched == [(50, 30), (30, 50), (50, 30)]


def test_where_all_that_is_seen_is_doubtful_every_turn_is_searched_at_full_size() -> None:
    """What is small is not seen in the small search."""
    engine = HatEngine(top=0.7)
    analyse_turns(engine, page(square(ANNA)))
    assert engine.searched == [(600, 400), (400, 600), (600, 400)]
    assert engine.looked_at == [(400, 600)]


@pytest.mark.parametrize("score", [0.62, 0.7])
def test_a_doubtful_photo_is_looked_at_closely_only_in_the_turn_that_shows_it_better(score: float) -> None:
    engine = HatEngine(top=score)
    [face] = analyse_turns(engine, clockwise(page(square(ANNA)), 180))
    assert (who(face), turn_of(face.landmarks)) == (ANNA, 180)
    assert engine.looked_at == [(400, 600), (400, 600)]


def test_a_turn_that_shows_nothing_surely_adds_no_faces() -> None:
    engine = HatEngine(top=0.7, left=0.6)
    photo = page(square(ANNA), square(BEN, turn=180))
    assert {(who(face), turn_of(face.landmarks)) for face in analyse_turns(engine, photo)} == {(ANNA, 0), (BEN, 180)}
    engine = HatEngine(top=0.6, bottom=0.0)
    photo = page(square(ANNA), square(BEN, turn=180))
    assert {(who(face), turn_of(face.landmarks)) for face in analyse_turns(engine, photo)} == {(ANNA, 0)}


def test_what_is_nowhere_sure_is_believed_as_it_was_seen_best() -> None:
    engine = HatEngine(top=0.62, bottom=0.55)
    [face] = analyse_turns(engine, clockwise(page(square(ANNA)), 180))
    assert (who(face), turn_of(face.landmarks)) == (ANNA, 180)


@pytest.mark.parametrize("turn", TURNS)
def test_the_picture_with_more_pixels_is_turned_as_well(turn: int) -> None:
    photo = clockwise(page(square(ANNA)), turn)
    asked: list[int] = []

    def closer() -> Pixels:
        asked.append(1)
        return photo.repeat(2, axis=0).repeat(2, axis=1)

    engine = HatEngine()
    [face] = analyse_turns(engine, photo, closer)
    assert who(face) == ANNA
    assert len(asked) == len(engine.looked_at) > 1


def analysis_of(pixels: Pixels, folder: Path, engine: Engine, limits: Limits) -> Any:
    path = folder / "photo.png"
    Image.fromarray(pixels).save(path)
    analyzer = Analyzer(Recipe("fake", limits=limits), engine)
    analysed = analyzer.analyse(LibraryFile(str(folder), path.name), Fingerprint.of(path.stat()))
    assert isinstance(analysed, Analysis)
    return analysed


@pytest.mark.parametrize(
    ("score", "turn", "tier"),
    [
        (0.9, 180, Tier.ENROLL),
        (0.7, 180, Tier.MATCH),
        (0.7, 90, Tier.MATCH),
        (0.7, 0, Tier.ENROLL),
        (0.6, 0, Tier.MATCH),
    ],
)
def test_a_doubtful_turn_founds_nobody(tmp_path: Path, score: float, turn: int, tier: Tier) -> None:
    engine = HatEngine(top=score, bottom=0.5)
    limits = Limits.of(engine.info)
    [face] = analysis_of(clockwise(page(square(ANNA)), -turn), tmp_path, engine, limits).faces
    assert (face.box.turn, face.quality.tier) == (turn, tier)


def test_a_crop_of_one_face_is_never_turned(library: Library) -> None:
    crops = library.photos / "crop.png"
    Image.fromarray(square(ANNA, turn=90)).save(crops)
    engine = HatEngine()
    with library.app({"library.aligned": [str(library.photos)]}, engine=engine) as app:
        app.pipeline.scan()
        [face] = app.catalog._db.query("SELECT turn FROM faces")
    assert face == {"turn": 0}
    assert not engine.looked_at
    assert not engine.searched


# --- what people see ---


@pytest.mark.parametrize("turn", TURNS)
def test_a_crop_is_shown_upright(turn: int) -> None:
    upright = np.random.default_rng(5).integers(0, 255, (90, 120, 3), np.uint8)
    box = Box(40, 30, 30, 40)
    lying = clockwise(upright, -turn)
    boxes = {90: Box(30, 50, 40, 30, 90), 180: Box(50, 20, 30, 40, 180), 270: Box(20, 40, 40, 30, 270)}
    expected = cutting.cut(Decoded(upright, 120, 90, "PNG"), box, 96)
    height, width = lying.shape[:2]
    shown = cutting.cut(Decoded(lying, width, height, "PNG"), boxes[turn], 96)
    assert np.abs(shown.astype(int) - expected).mean() < 1


def test_somebody_named_on_a_photo_that_lies_keeps_the_name_when_it_is_put_right(lying: Library) -> None:
    path, seen = lying.photos / "a.png", []
    for turn in (270, 0):
        with lying.app(engine=HatEngine()) as app:
            app.pipeline.scan()
            if turn:
                with app.corrections.deciding() as decisions:
                    decisions.assign([f"{path}:1"], "Anna", is_new=True)
            [face] = app.catalog._db.query("SELECT x, y, turn FROM faces_view WHERE name = 'Anna'")
        with Image.open(path) as photo:
            seen.append(photo.getpixel((face["x"] + 5, face["y"] + 5)))
            photo.transpose(Image.Transpose.ROTATE_90).save(path)
        assert face["turn"] == turn
    assert seen[0] == seen[1]


@pytest.fixture
def lying(library: Library) -> Library:
    """A library with a photo of Anna and Ben that lies on its side."""
    Image.fromarray(clockwise(page(square(ANNA), square(BEN)), 90)).save(library.photos / "a.png")
    with library.app(engine=HatEngine()) as app:
        app.pipeline.scan()
    return library


def test_the_turn_of_a_face_is_told_by_why_and_stands_where_facts_of_a_face_do(lying: Library) -> None:
    with lying.app(engine=HatEngine()) as app:
        explained = app.explainer().explain(str(lying.photos / "a.png"))
        assert [face["turn"] for face in explained.photo["faces"]] == [270, 270]
        note = "it lies on its side in the photo: turned clockwise by 270 degrees it is upright"
        assert [notes(one)[-1] for one in explained.whys] == [note] * 2
        [face, _] = faces_at(app.catalog, [1, 2])
        assert face.box.turn == 270
        view = app.catalog._db.query("SELECT turn FROM faces_view")
        assert list(view) == [{"turn": 270}] * 2


def test_an_upgrade_knows_how_faces_lie_and_doubts_photos_in_which_nothing_was_surely_seen(tmp_path: Path) -> None:
    db = Database(tmp_path / "older.sqlite")
    MIGRATIONS.apply(db, stop_before="0011_turns")
    db.execute("INSERT INTO roots (path, display, device, added_at) VALUES (?, '/x', 1, 'now')", [b"/x"])
    engines = [("face_recognition", 1), ("insightface:buffalo_l", 2)]
    for name, number in engines:
        columns = "id, name, fingerprint, n_dims, licence, added_at"
        db.execute(f"INSERT INTO engines ({columns}) VALUES (?, ?, ?, 4, '', 'now')", [number, name, name])
    upright = np.array(fake._LANDMARKS) * 64
    made: list[tuple[str, int, float, Any]] = [
        ("sure", 1, 1.2, upright),
        ("unsure", 1, 0.3, upright @ [[0, 1], [-1, 0]]),
        ("sure too", 2, 0.8, -upright),
        ("unsure too", 2, 0.7, upright @ [[0, -1], [1, 0]]),
        ("empty", 2, 0.0, None),
    ]
    for i, (name, engine, score, landmarks) in enumerate(made):
        columns = "sha256, width, height, format, added_at"
        db.execute(f"INSERT INTO photos ({columns}) VALUES (?, 1, 1, 'JPEG', 'now')", [bytes([i]) * 32])
        columns = "root_id, path, display, size, mtime_ns, inode, ctime_ns, photo_id, seen_at"
        db.execute(
            f"INSERT INTO files ({columns}) VALUES (1, ?, ?, 1, 1, 1, 5, ?, 'now')", [name.encode(), name, i + 1]
        )
        if landmarks is not None:
            columns = "photo_id, engine_id, x, y, w, h, landmarks, score, sharpness, brightness, quality, tier"
            values = [i + 1, engine, 0, 0, 9, 9, json.dumps(landmarks.ravel().tolist()), score, 9, 99, 0.5, "found"]
            db.execute(f"INSERT INTO faces ({columns}) VALUES ({', '.join('?' * 12)})", values)
    MIGRATIONS.apply(db)
    assert [turn for (turn,) in db.execute("SELECT turn FROM faces ORDER BY id")] == [0, 270, 180, 90]
    doubted = db.execute(
        "SELECT display FROM files f JOIN photos p ON p.id = f.photo_id WHERE is_misread AND ctime_ns = -1"
        " ORDER BY f.id"
    ).fetchall()
    assert doubted == [("unsure",), ("unsure too",), ("empty",)]
    db.close()


def test_photos_that_an_older_version_saw_nobody_in_are_looked_at_in_all_turns_by_the_next_scan(
    library: Library,
) -> None:
    Image.fromarray(clockwise(page(square(ANNA)), 90)).save(library.photos / "a.png")
    with library.app(engine=HatEngine(top=0.0, bottom=0.0)) as app:  # it sees none, as HOG did
        app.pipeline.scan()
        assert list(app.catalog._db.query("SELECT * FROM faces")) == []
        with app.catalog.write():
            app.catalog._db.execute("UPDATE photos SET is_misread = 1")
            app.catalog._db.execute("UPDATE files SET ctime_ns = -1")
    with library.app(engine=HatEngine()) as app:
        app.pipeline.scan()
        assert list(app.catalog._db.query("SELECT turn, tier FROM faces")) == [{"turn": 270, "tier": "found"}]
        assert app.catalog.faults() == []


# --- real faces ---


BUFFALO = "models/buffalo_sc_dq"


@pytest.fixture(scope="module", params=["standard", "HOG", "advanced"])
def real(request: pytest.FixtureRequest, shared: Path) -> Engine:
    if request.param == "advanced":
        return load_engine(f"insightface:{shared / BUFFALO}")
    return load_engine("face_recognition", EngineOptions(detector="hog") if request.param == "HOG" else EngineOptions())


@pytest.fixture(scope="module", params=["standard", "advanced"])
def telling(request: pytest.FixtureRequest, shared: Path) -> Engine:
    """An engine whose detector gives faint signs of faces that lie: HOG gives none."""
    return load_engine("face_recognition" if request.param == "standard" else f"insightface:{shared / BUFFALO}")


PORTRAITS = (
    *("Family1-Dad1", "Family1-Mom1", "Family1-Son1", "Family1-Daughter1", "Family2-Lady1", "Family2-Man1"),
    *("Family3-Lady1", "Family3-Man1", "Family1-Dad2"),
)


def portrait(shared: Path, name: str) -> Image.Image:
    with Image.open(shared / "photos/album/family" / f"{name}.jpg") as photo:
        return photo.convert("RGB")


def as_pixels(photo: Image.Image, turn: int = 0) -> Pixels:
    """Return a photo as it lies when it needs that turn clockwise to be upright."""
    return clockwise(np.asarray(photo), -turn)


@pytest.mark.parametrize("turn", TURNS)
def test_portraits_that_lie_are_the_same_faces_as_upright(real: Engine, shared: Path, turn: int) -> None:
    for name in PORTRAITS[:: 1 if turn == 180 else 3]:
        photo = portrait(shared, name)
        [upright], [lying] = analyse_turns(real, as_pixels(photo)), analyse_turns(real, as_pixels(photo, turn))
        assert turn_of(lying.landmarks) == turn
        assert float(upright.embedding @ lying.embedding) > 0.999
        assert np.array_equal(upright.crop, lying.crop)


def test_upright_portraits_are_searched_upright_only(telling: Engine, shared: Path) -> None:
    surveys = [telling.survey(as_pixels(portrait(shared, name))) for name in PORTRAITS]
    assert sum(not survey.may_show_turned for survey in surveys) >= len(PORTRAITS) // 2


@pytest.mark.parametrize("turn", TURNS)
def test_every_portrait_that_lies_shows_signs_of_it(telling: Engine, shared: Path, turn: int) -> None:
    for name in PORTRAITS:
        assert telling.survey(as_pixels(portrait(shared, name), turn)).may_show_turned


def test_an_empty_picture_shows_no_sign_of_a_face(telling: Engine) -> None:
    assert telling.survey(np.full((480, 640, 3), 128, np.uint8)) == Survey([], may_show_turned=False)


def test_dlib_s_own_detectors_say_nothing_of_faces_that_lie() -> None:
    engine = load_engine("face_recognition", EngineOptions(detector="hog"))
    assert engine.survey(np.full((480, 640, 3), 128, np.uint8)).may_show_turned


@pytest.mark.parametrize("turn", TURNS)
def test_everybody_of_a_group_that_lies_is_seen(real: Engine, shared: Path, turn: int) -> None:
    group = portrait(shared, "identification1")
    faces = analyse_turns(real, as_pixels(group, turn))
    assert [turn_of(face.landmarks) for face in faces] == [turn] * 4


def test_a_page_with_four_photos_of_which_three_lie_shows_all_four(real: Engine, shared: Path) -> None:
    sheet = Image.new("RGB", (800, 800), "white")
    for i, name in enumerate(("Family1-Dad1", "Family1-Mom1", "Family1-Daughter1", "Family2-Man1")):
        photo = Image.fromarray(as_pixels(portrait(shared, name).resize((320, 320)), 90 * i))
        sheet.paste(photo, (40 + 400 * (i % 2), 40 + 400 * (i // 2)))
    faces = analyse_turns(real, np.asarray(sheet))
    assert sorted(turn_of(face.landmarks) for face in faces) == [0, 90, 180, 270]


def heif(photo: Image.Image, **options: Any) -> bytes:
    target = io.BytesIO()
    pillow_heif.from_pillow(photo).save(target, quality=90, **options)
    return target.getvalue()


def encoded(photo: Image.Image, kind: str) -> bytes:
    if kind.startswith("HEIF"):
        exif = Image.Exif()
        exif[0x0112] = 6 if kind == "HEIF with EXIF alone" else 1
        # Some Samsung phones leave the turn of the container at 0; it is what HEIF goes by.
        return heif(photo, exif=exif.tobytes()).replace(b"irot\x03", b"irot\x00")
    target = io.BytesIO()
    photo.save(target, kind)
    return target.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "HEIF with EXIF alone"])
def test_the_format_of_a_photo_that_lies_makes_no_difference(
    real: Engine, shared: Path, tmp_path: Path, kind: str
) -> None:
    photo = portrait(shared, "Family1-Dad1")
    path = tmp_path / "photo"
    path.write_bytes(encoded(Image.fromarray(as_pixels(photo, 90)), kind))
    analyzer = Analyzer(Recipe(real.info.name), real)
    analysed = analyzer.analyse(LibraryFile(str(tmp_path), path.name), Fingerprint.of(path.stat()))
    assert isinstance(analysed, Analysis)
    [face] = analysed.faces
    [upright] = analyse_turns(real, as_pixels(photo))
    assert face.box.turn == 90
    assert float(upright.embedding @ face.embedding) > 0.8
    assert analysed.width == photo.height


@pytest.mark.parametrize("tilt", [30, 60, 120, 150, 210])
def test_a_tilted_head_is_seen_whatever_the_angle(real: Engine, shared: Path, tilt: int) -> None:
    for name in PORTRAITS[:3]:
        photo = portrait(shared, name)
        tilted = photo.rotate(tilt, expand=True, resample=Image.Resampling.BICUBIC)
        [upright], faces = analyse_turns(real, as_pixels(photo)), analyse_turns(real, np.asarray(tilted))
        assert any(float(upright.embedding @ face.embedding) > 0.7 for face in faces)


def test_a_mirrored_photo_that_lies_is_seen(real: Engine, shared: Path) -> None:
    photo = portrait(shared, "Family1-Dad1")
    [upright] = analyse_turns(real, as_pixels(photo))
    [face] = analyse_turns(real, as_pixels(ImageOps.mirror(photo), 270))
    assert float(upright.embedding @ face.embedding) > 0.9


def test_photos_without_a_face_have_none_in_any_turn(real: Engine, shared: Path) -> None:
    for path in sorted((shared / "photos/odd/noface").iterdir()):
        with path.open("rb") as file:
            pixels = decode.decode(file).pixels
        assert all(face.score < real.info.upright_score for face in analyse_turns(real, pixels)), path.name


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 2000), (7, 7)])
def test_strips_and_dots_are_looked_at_in_all_turns(real: Engine, size: tuple[int, int]) -> None:
    assert analyse_turns(real, np.zeros((*size, 3), np.uint8)) == []


def test_who_is_known_is_recognised_on_photos_that_lie_and_strangers_on_their_heads_found_nobody(
    real: Engine, shared: Path, library: Library
) -> None:
    for name in ("Family1-Dad1", "Family1-Dad2", "Family1-Mom1", "Family1-Mom2", "Family1-Son1", "Family1-Son2"):
        portrait(shared, name).save(library.photos / f"{name}.png")
    for name in ("Family2-Lady1", "Family2-Man1", "Family3-Lady1", "Family3-Man1"):
        Image.fromarray(as_pixels(portrait(shared, name), 180)).save(library.photos / f"{name}.png")
    settings = {"match.strictness": 0.0}
    with library.app(settings, engine=real) as app:
        app.pipeline.scan()
        with app.corrections.deciding() as decisions:
            dad = [str(library.photos / f"Family1-Dad{i}.png") for i in (1, 2)]
            decisions.assign(dad, "Dad", is_new=True)
    for turn in TURNS:
        Image.fromarray(as_pixels(portrait(shared, "Family1-Dad3"), turn)).save(library.photos / f"lying-{turn}.png")
    with library.app(settings, engine=real) as app:
        app.pipeline.scan()
        placed = {
            Path(str(row["path"])).stem: row["name"]
            for row in app.catalog._db.query("SELECT path, name FROM faces_view WHERE name IS NOT NULL")
        }
    assert {name for name, person in placed.items() if person == "Dad"} == {
        *("Family1-Dad1", "Family1-Dad2", "lying-90", "lying-180", "lying-270")
    }
    assert not [name for name in placed if name.startswith(("Family2", "Family3"))]
