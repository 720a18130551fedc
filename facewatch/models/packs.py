"""The packs of insightface's model zoo that are known, and what lies in the models folder: read without
running a model. Never downloads."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from facewatch.errors import EngineError
from facewatch.fs.state import state_of
from facewatch.models.graphs import is_model, pick_models

ENGINE = "insightface:"
"""What stands before a pack's name in the settings."""

MANIFEST = "facewatch.json"
"""The file of a pack's folder that says what the models were when they came."""

INSIGHTFACE_LICENCE = "InsightFace weights: for non-commercial research only"
UNKNOWN_LICENCE = "not known to facewatch: ask where the files come from"

State = Literal["absent", "present", "incomplete", "damaged"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class PackFile:
    """A file, and its size and SHA-256."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    """64 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class PackRecord:
    """What a pack consists of, whether facewatch knows it or found it out when the files came."""

    name: str
    detector: PackFile
    recogniser: PackFile
    n_dims: int
    """The length of the recogniser's embeddings."""
    licence: str

    @property
    def files(self) -> tuple[PackFile, PackFile]:
        return self.detector, self.recogniser

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.detector.size + self.recogniser.size


@dataclass(frozen=True, slots=True)
class KnownPack(PackRecord):
    """A pack that can be fetched."""

    archive: PackFile
    """The zip on the release page; it holds more models than the two that are kept. The two files' SHA-256 decide."""


_DET_10G = PackFile("det_10g.onnx", 16_923_827, "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91")
_DET_2_5G = PackFile("det_2.5g.onnx", 3_292_009, "041f73f47371333d1d17a6fee6c8ab4e6aecabefe398ff32cca4e2d5eaee0af9")
_DET_500M = PackFile("det_500m.onnx", 2_524_817, "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a")
_W600K_R50 = PackFile("w600k_r50.onnx", 174_383_860, "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43")
_W600K_MBF = PackFile("w600k_mbf.onnx", 13_616_099, "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f")
_GLINTR100 = PackFile("glintr100.onnx", 260_665_334, "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf")


def _known_pack(name: str, detector: PackFile, recogniser: PackFile, size: int, sha256: str) -> KnownPack:
    archive = PackFile(f"{name}.zip", size, sha256)
    return KnownPack(name, detector, recogniser, n_dims=512, licence=INSIGHTFACE_LICENCE, archive=archive)


# Every SHA-256 and size was found in at least two public sources that do not depend on each other; the archives are the
# same bytes under the release tags v0.7 and model-zoo. antelopev2's detector is det_10g under another name.
REGISTRY = {
    pack.name: pack
    for pack in (
        _known_pack(
            "buffalo_l",
            _DET_10G,
            _W600K_R50,
            288_621_354,
            "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
        ),
        _known_pack(
            "buffalo_m",
            _DET_2_5G,
            _W600K_R50,
            275_951_529,
            "d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9",
        ),
        _known_pack(
            "buffalo_s",
            _DET_500M,
            _W600K_MBF,
            127_607_557,
            "d85a87f503f691807cd8bb97128bdf7a0660326cd9cd02657127fa978bab8b5e",
        ),
        _known_pack(
            "antelopev2",
            PackFile("scrfd_10g_bnkps.onnx", _DET_10G.size, _DET_10G.sha256),
            _GLINTR100,
            360_662_982,
            "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5",
        ),
    )
}
"""By name, as it stands behind "insightface:"."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A detector and a recogniser that are there."""

    name: str
    """As it stands behind "insightface:" in the settings: a name, or the path of a folder."""
    detector: Path
    recogniser: Path
    sha256s: Mapping[str, str]
    """Of both files, by file name: 64 hexadecimal digits."""
    licence: str
    n_dims: int
    """The length of the recogniser's embeddings."""


@dataclass(frozen=True, slots=True)
class PackState:
    """A pack that is known or there."""

    name: str
    n_dims: int | None
    """None: its files cannot be read."""
    size: int
    """Bytes of detector and recogniser, also of a pack that is absent."""
    licence: str
    folder: Path
    """Where it is or would be."""
    state: State
    """By the files' sizes; `verify` reads them."""


def models_folder(setting: str = "") -> Path:
    """Return where packs are kept: the setting, else $FACEWATCH_MODELS, else in the cache folder of the platform."""
    chosen = setting or os.environ.get("FACEWATCH_MODELS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("facewatch", appauthor=False)) / "models"


def plain_name(name: str) -> str:
    """Return a pack's name without the "insightface:" that stands before it in the settings."""
    return name.removeprefix(ENGINE)


def is_name(text: str) -> bool:
    """Whether a text can be the name of a pack in the models folder."""
    return _NAME.fullmatch(text) is not None


def find_pack(name: str, folder: Path, *, registry: Mapping[str, KnownPack] = REGISTRY) -> Pack:
    """Return a pack of the models folder by name, or any folder of ONNX files by path (with a "/" in it).

    Of what was fetched or imported only the sizes are compared, and the SHA-256 are those written down then (0.1 ms).
    Files that came otherwise are read each time (0.5 s for 300 MB).

    Raises:
        EngineError: the pack is unknown or absent, files are missing or damaged, or are no detector and recogniser.
    """
    name = plain_name(name)
    place = _existing_place(name, folder, registry)
    try:
        written = read_manifest(place)
    except EngineError as error:
        raise EngineError(f"engine {ENGINE}{name}: {error}; {remedy(name, registry)}") from error
    expected = written or registry.get(name)
    if expected is None:
        return _pack(name, place, read_record(name, place, registry))
    faults = size_faults(place, expected) or ([] if written else hash_faults(place, expected))
    if faults:
        raise EngineError(f"engine {ENGINE}{name}: {'; '.join(faults)}; {remedy(name, registry)}")
    return _pack(name, place, expected)


def state_of_pack(name: str, folder: Path, *, registry: Mapping[str, KnownPack] = REGISTRY) -> str:
    """Return what changes with the content of a pack that was neither fetched nor imported, and so is read each time
    that it is asked for; "": it is not, or there is none."""
    name = plain_name(name)
    try:
        place = _existing_place(name, folder, registry)
        is_written = name in registry or (place / MANIFEST).exists()
        return "" if is_written else state_of(sorted(filter(is_model, place.iterdir())))
    except (EngineError, OSError):
        return ""


def _existing_place(name: str, folder: Path, registry: Mapping[str, KnownPack]) -> Path:
    place = Path(name).expanduser().absolute() if "/" in name else folder / name
    if not is_folder(place) or not ("/" in name or is_name(name)):
        raise _absent(name, folder, registry)
    return place


def is_folder(place: Path) -> bool:
    """Whether there is such a folder.

    Raises:
        EngineError: that cannot be found out.
    """
    try:
        return place.is_dir()
    except OSError as error:
        raise EngineError(f"{place}: cannot be read ({error.strerror}); check the folder's rights") from error


def _pack(name: str, place: Path, record: PackRecord) -> Pack:
    return Pack(
        name=str(place) if "/" in name else name,
        detector=place / record.detector.name,
        recogniser=place / record.recogniser.name,
        sha256s={file.name: file.sha256 for file in record.files},
        licence=record.licence,
        n_dims=record.n_dims,
    )


def _absent(name: str, folder: Path, registry: Mapping[str, KnownPack]) -> EngineError:
    engine = f"engine {ENGINE}{name}"
    if "/" in name:
        return EngineError(f"{engine}: there is no such folder; plug its disk in, or choose from `facewatch models`")
    if name in registry:
        return EngineError(
            f"{engine}: its files are not here; `facewatch models fetch {name}` brings them "
            f"({megabytes(registry[name].archive.size)}), or `facewatch models import DIR` if you have them"
        )
    names = [*registry, *_other_names(folder, registry)]
    return EngineError(
        f"{engine}: no such pack{did_you_mean(name, names)}; there are {', '.join(sorted(names))}, "
        "and `facewatch models import DIR` adds your own"
    )


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question, or "" where no name is near."""
    near = difflib.get_close_matches(name, list(names), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def remedy(name: str, registry: Mapping[str, KnownPack] = REGISTRY) -> str:
    """Return what makes a damaged pack whole, as advice."""
    if "/" in name:
        return "get the files again"
    again = f"fetch {name}" if name in registry else f"import DIR --name {name} --force"
    return f"`facewatch models {again}` brings the files again"


def megabytes(size: int) -> str:
    """Return a size as people read it: "289 MB"."""
    if size >= 1e10:
        return f"{size / 1e9:.0f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def list_packs(folder: Path, *, registry: Mapping[str, KnownPack] = REGISTRY) -> list[PackState]:
    """Return every pack that is known, then every other that is there.

    Raises:
        EngineError: the models folder cannot be read.
    """
    return [_state(name, folder / name, registry) for name in [*registry, *_other_names(folder, registry)]]


def _other_names(folder: Path, registry: Mapping[str, KnownPack]) -> list[str]:
    try:
        places = sorted(place for place in folder.iterdir() if place.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EngineError(f"{folder}: cannot be read ({error.strerror}); check the folder's rights") from error
    return [place.name for place in places if place.name not in registry and is_name(place.name) and _holds_pack(place)]


def _holds_pack(place: Path) -> bool:
    try:
        return any(path.name == MANIFEST or is_model(path) for path in place.iterdir())
    except OSError:
        return False


def _state(name: str, place: Path, registry: Mapping[str, KnownPack]) -> PackState:
    def state(record: PackRecord, state: State) -> PackState:
        return PackState(name, record.n_dims, record.size, record.licence, place, state)

    if not is_folder(place):
        return state(registry[name], "absent")
    try:
        expected = read_manifest(place) or registry.get(name)
        if expected is None:
            return state(read_record(name, place, registry), "present")
    except EngineError:
        return PackState(name, None, 0, UNKNOWN_LICENCE, place, "damaged")
    if not all((place / file.name).is_file() for file in expected.files):
        return state(expected, "incomplete")
    return state(expected, "damaged" if size_faults(place, expected) else "present")


def verify(name: str, folder: Path, *, registry: Mapping[str, KnownPack] = REGISTRY) -> list[str]:
    """Return what is wrong with a pack's files, all of them read; nothing is wrong with a whole one.

    Files that neither facewatch knows nor brought have nothing that they could be compared with (`is_on_record`): of
    them only that they are a detector and a recogniser is known.

    Raises:
        EngineError: the pack is unknown or absent.
    """
    name = plain_name(name)
    place = _existing_place(name, folder, registry)
    try:
        expected = read_manifest(place) or registry.get(name)
        if expected is None:
            pick_models(place)
            return []
    except EngineError as error:
        return [str(error)]
    return hash_faults(place, expected)


def is_on_record(name: str, folder: Path, *, registry: Mapping[str, KnownPack] = REGISTRY) -> bool:
    """Whether there is a SHA-256 for a pack's files, so that `verify` can check that they are whole.

    Raises:
        EngineError: the pack is unknown or absent.
    """
    name = plain_name(name)
    place = _existing_place(name, folder, registry)
    try:
        return (read_manifest(place) or registry.get(name)) is not None
    except EngineError:
        return False


def size_faults(place: Path, expected: PackRecord) -> list[str]:
    """Return which files are missing or have another size."""
    return [fault for file in expected.files if (fault := _size_fault(place / file.name, file))]


def hash_faults(place: Path, expected: PackRecord) -> list[str]:
    """Return which files are missing or have another content; reads them (0.1 s for 200 MB)."""
    return [
        fault for file in expected.files if (fault := _size_fault(place / file.name, file) or _hash_fault(place, file))
    ]


def _size_fault(path: Path, file: PackFile) -> str | None:
    try:
        size = path.stat().st_size
    except OSError as error:
        return f"{file.name} is missing" if isinstance(error, FileNotFoundError) else _unreadable(file, error)
    return None if size == file.size else f"{file.name} has {size} bytes instead of {file.size}"


def _hash_fault(place: Path, file: PackFile) -> str | None:
    try:
        found = sha256_of(place / file.name)
    except OSError as error:
        return _unreadable(file, error)
    return None if found == file.sha256 else f"{file.name} is damaged ({differs(found, file.sha256)})"


def _unreadable(file: PackFile, error: OSError) -> str:
    return f"{file.name} cannot be read ({error.strerror})"


def differs(found: str, wanted: str) -> str:
    """Return in words that one SHA-256 is not the other."""
    return f"SHA-256 {found[:12]}... instead of {wanted[:12]}..."


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_record(name: str, place: Path, registry: Mapping[str, KnownPack]) -> PackRecord:
    """Return what a folder of ONNX files holds; reads all of it.

    Raises:
        EngineError: not one detector and one recogniser, or damaged files.
    """
    detector, recogniser = pick_models(place)
    try:
        files = [PackFile(g.path.name, g.path.stat().st_size, sha256_of(g.path)) for g in (detector, recogniser)]
    except OSError as error:
        raise EngineError(f"{place}: cannot be read ({error.strerror}); check the folder's rights") from error
    return PackRecord(name, files[0], files[1], recogniser.n_dims, licence_of(files, registry))


def licence_of(files: list[PackFile], registry: Mapping[str, KnownPack]) -> str:
    """Return the licence of files: that of the known pack one of them is from."""
    hashes = {file.sha256 for file in files}
    known = (pack.licence for pack in registry.values() if hashes & {file.sha256 for file in pack.files})
    return next(known, UNKNOWN_LICENCE)


def read_manifest(place: Path) -> PackRecord | None:
    """Return what was written down when a pack came, or None where nothing was.

    Raises:
        EngineError: the file is damaged; what to do depends on the pack, see `remedy`.
    """
    file = place / MANIFEST
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        files = [_known_file(content[role]) for role in ("detector", "recogniser")]
        return PackRecord(str(content["name"]), files[0], files[1], int(content["n_dims"]), str(content["licence"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{file}: damaged") from error


def _known_file(content: Any) -> PackFile:
    file = PackFile(str(content["name"]), int(content["size"]), str(content["sha256"]))
    if Path(file.name).name != file.name:
        raise ValueError("a file name with a folder in it")
    return file


def write_manifest(place: Path, record: PackRecord) -> None:
    """Write down what a pack consists of."""
    content = {
        "name": record.name,
        "licence": record.licence,
        "n_dims": record.n_dims,
        "detector": asdict(record.detector),
        "recogniser": asdict(record.recogniser),
    }
    (place / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
