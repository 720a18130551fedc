"""A pack from a folder or an archive that the user has."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from facewatch.errors import EngineError
from facewatch.models.graphs import Graph, is_model, pick_models
from facewatch.models.packs import (
    ENGINE,
    REGISTRY,
    KnownPack,
    Pack,
    PackFile,
    PackRecord,
    differs,
    find_pack,
    hash_faults,
    is_name,
    licence_of,
    plain_name,
    read_manifest,
    write_manifest,
)
from facewatch.models.placing import check_room, copy_hashed, disk_errors, free_bytes, locked, put_in_place, scratch


def import_pack(
    source: Path,
    folder: Path,
    *,
    name: str | None = None,
    force: bool = False,
    registry: Mapping[str, KnownPack] = REGISTRY,
    free: Callable[[Path], int] = free_bytes,
    on_same: Callable[[], None] = lambda: None,
) -> Pack:
    """Return the pack made of a copy of the detector and the recogniser in a folder, or in a zip archive.

    It gets the name of the source, or the given one. The same content once more changes nothing. Stands in its place as
    a whole or not at all.

    Args:
        source: a folder of ONNX files, or a .zip; other models in it are left out. It is only read.
        force: replace another pack of that name, or a damaged one.
        on_same: is called when the same files are there already, undamaged.

    Raises:
        EngineError: not one detector and one recogniser, other content under a name that is known or taken, no room.
    """
    source = source.expanduser().absolute()
    name = _choose_name(source, name)
    with disk_errors(folder), locked(folder, name, lambda: None), scratch(folder, name) as place:
        record = _build(source, place / name, name, registry, lambda sizes: check_room(folder, sizes, free))
        _refuse_another(record, folder / name, registry, force)
        if _is_written(record, folder / name):
            on_same()
        else:
            write_manifest(place / name, record)
            put_in_place(place / name, folder / name)
    return find_pack(name, folder, registry=registry)


def _choose_name(source: Path, name: str | None) -> str:
    if not source.is_dir() and not zipfile.is_zipfile(source):
        raise EngineError(f"{source}: {_why_no_source(source)}")
    chosen = plain_name(name or (source.name if source.is_dir() else source.stem))
    if not is_name(chosen):
        raise EngineError(f"{chosen!r} cannot be a pack's name: letters, digits and . _ - can; choose one with --name")
    if chosen == _STANDARD:
        raise EngineError(f"{chosen!r} is the engine that needs no pack; choose another name with --name")
    return chosen


_STANDARD = "face_recognition"
"""A pack of this name would be taken for the engine."""

_ZIP_BEGINS = b"PK\x03\x04"


def _why_no_source(source: Path) -> str:
    advice = "name the folder that holds a detector and a recogniser"
    if not source.exists():
        return f"no such folder; {advice}"
    try:
        with source.open("rb") as file:
            is_zip = file.read(len(_ZIP_BEGINS)) == _ZIP_BEGINS
    except OSError as error:
        return f"cannot be read ({error.strerror}); give facewatch the right to it"
    # The list of what is in an archive stands at its end, which one that was cut off does not have.
    return "a damaged zip archive; get it again" if is_zip else f"neither a folder nor a zip archive; {advice}"


def _build(
    source: Path,
    built: Path,
    name: str,
    registry: Mapping[str, KnownPack],
    check: Callable[[list[int]], None],
) -> PackRecord:
    """Copy the two models into a new folder and return what they are."""
    built.mkdir()
    if source.is_dir():
        return _copy(*pick_models(source), built, name, registry, check)
    if name in registry:
        check([registry[name].size])
        with _naming(source, _OWN_NAME):
            unpack_known(source, registry[name], built)
        return registry[name]
    with _naming(source):
        size = models_size(source)
    # Which is which can only be read from files, so what is kept is there twice for a while.
    check([size, size])
    unpacked = built.with_name("unpacked")
    unpacked.mkdir()
    with _naming(source):
        unpack_models(source, unpacked)
    return _copy(*pick_models(unpacked, called=source), built, name, registry, check)


_OWN_NAME = "; a pack of your own needs a name of its own: --name"


@contextmanager
def _naming(source: Path, advice: str = "") -> Iterator[None]:
    """Say in errors which archive they are about."""
    try:
        yield
    except EngineError as error:
        raise EngineError(f"{source}: {error}{advice}") from error


def _copy(
    detector: Graph,
    recogniser: Graph,
    built: Path,
    name: str,
    registry: Mapping[str, KnownPack],
    check: Callable[[list[int]], None],
) -> PackRecord:
    check([graph.path.stat().st_size for graph in (detector, recogniser)])
    files = [_copy_file(graph.path, built) for graph in (detector, recogniser)]
    if name in registry:
        _refuse_unlike(files, registry[name], detector.path.parent)
    return PackRecord(name, files[0], files[1], recogniser.n_dims, licence_of(files, registry))


def _copy_file(path: Path, folder: Path) -> PackFile:
    with path.open("rb") as stream:
        return copy_hashed(stream, folder / path.name)


def _refuse_unlike(files: list[PackFile], known: KnownPack, source: Path) -> None:
    for file, wanted in zip(files, known.files, strict=True):
        if file.sha256 != wanted.sha256:
            raise EngineError(
                f"{source}: {file.name} is not the {wanted.name} of {known.name} "
                f"({differs(file.sha256, wanted.sha256)}){_OWN_NAME}"
            )


def _refuse_another(record: PackRecord, place: Path, registry: Mapping[str, KnownPack], force: bool) -> None:
    """Damaged files of a known pack may be replaced without being asked: what comes is known to be right."""
    if force or record.name in registry or not place.is_dir() or not any(place.iterdir()):
        return
    faults = hash_faults(place, record)
    if faults and _is_damaged(record, place):
        raise EngineError(
            f"{ENGINE}{record.name} is there, but damaged ({place}: {'; '.join(faults)}); --force repairs it"
        )
    if faults:
        raise EngineError(
            f"{ENGINE}{record.name} is there already, with other files ({place}); --force replaces them, "
            "--name gives these another name"
        )


def _is_damaged(record: PackRecord, place: Path) -> bool:
    """Whether what differs from a pack is that pack, damaged or incomplete, rather than another one."""
    try:
        former = read_manifest(place)
    except EngineError:
        return True
    if former:
        return former.files == record.files or bool(hash_faults(place, former))
    # Put there by hand: a part of the pack, and nothing else.
    names = {path.name for path in place.iterdir() if is_model(path)}
    n_faulty = len(hash_faults(place, record))
    return names <= {file.name for file in record.files} and n_faulty < len(record.files)


def _is_written(record: PackRecord, place: Path) -> bool:
    """Whether the same files lie there, undamaged, and that is written down."""
    try:
        former = read_manifest(place)
    except EngineError:
        return False
    return former is not None and former.files == record.files and not hash_faults(place, record)


def unpack_known(archive: Path, pack: KnownPack, folder: Path) -> None:
    """Write the two files of a known pack into a folder, and nothing else of the archive.

    Raises:
        EngineError: it is no whole zip archive, or a file is not in it or not the one that is known.
        OSError: a file cannot be read or written.
    """
    with _opened(archive) as content:
        for file in pack.files:
            member = next((m for m in content.infolist() if _base_name(m) == file.name), None)
            if member is None:
                raise EngineError(f"there is no {file.name} in it")
            if member.file_size != file.size:
                raise EngineError(f"{file.name} has {member.file_size} bytes instead of {file.size}")
            with content.open(member) as source:
                found = copy_hashed(source, folder / file.name)
            if found.sha256 != file.sha256:
                raise EngineError(f"{file.name} is another one ({differs(found.sha256, file.sha256)})")


def unpack_models(archive: Path, folder: Path) -> None:
    """Write every ONNX file of an archive into a folder.

    Raises:
        EngineError: it is no whole zip archive, or two files in it have the same name.
        OSError: a file cannot be read or written.
    """
    with _opened(archive) as content:
        for member in _models(content):
            if (folder / _base_name(member)).exists():
                raise EngineError(
                    f"there are two files called {_base_name(member)} in it; unpack it, and name a folder"
                )
            with content.open(member) as source:
                copy_hashed(source, folder / _base_name(member))


def models_size(archive: Path) -> int:
    """Return how many bytes the ONNX files of an archive have when they are unpacked."""
    with _opened(archive) as content:
        return sum(member.file_size for member in _models(content))


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as content:
            yield content
    # zipfile says RuntimeError to a password and NotImplementedError to a compression that it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise EngineError(f"it is no whole zip archive ({error})") from error


def _models(content: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [member for member in content.infolist() if is_model(Path(_base_name(member)))]


def _base_name(member: zipfile.ZipInfo) -> str:
    return "" if member.is_dir() else PurePosixPath(member.filename).name
