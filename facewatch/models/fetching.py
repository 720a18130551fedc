"""A known pack from the release page of insightface, when somebody asks for it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from facewatch.errors import EngineError
from facewatch.models.downloads import ADDRESS_ADVICE, discard, download, partial_file
from facewatch.models.importing import unpack_known
from facewatch.models.packs import (
    ENGINE,
    Pack,
    did_you_mean,
    find_pack,
    is_folder,
    plain_name,
    sha256_of,
    verify,
    write_manifest,
)
from facewatch.models.placing import check_room, disk_errors, free_bytes, locked, put_in_place, scratch
from facewatch.models.registry import REGISTRY, KnownPack
from facewatch.types import Progress

log = logging.getLogger(__name__)


def fetch(
    name: str,
    folder: Path,
    report: Callable[[Progress], None],
    *,
    base_url: str | None = None,
    registry: Mapping[str, KnownPack] = REGISTRY,
    free: Callable[[Path], int] = free_bytes,
) -> Pack:
    """Return a known pack, downloaded where it is not whole; nothing is sent where it is.

    Every file is compared with the SHA-256 that facewatch knows. Stands in its place as a whole or not at all; what
    was downloaded before an interruption is kept, and the next call carries on there.

    Args:
        report: hears of bytes.
        base_url: where the archive lies, instead of $FACEWATCH_MODELS_URL or insightface's release page.

    Raises:
        EngineError: the pack is not known, cannot be reached, is not what it should be, or does not fit on the disk.
    """
    pack = known_pack(name, registry)
    if is_whole(pack.name, folder, registry):
        return find_pack(pack.name, folder, registry=registry)
    with disk_errors(folder), locked(folder, pack.name, lambda: report(_waiting(pack))):
        # The one that was waited for may have brought it.
        if not is_whole(pack.name, folder, registry):
            try:
                _bring(pack, folder, report, base_url, free)
            except EngineError as error:
                raise EngineError(f"engine {ENGINE}{pack.name}: {error}") from error
    return find_pack(pack.name, folder, registry=registry)


def known_pack(name: str, registry: Mapping[str, KnownPack] = REGISTRY) -> KnownPack:
    """Return what is known of a pack.

    Raises:
        EngineError: nothing is.
    """
    name = plain_name(name)
    if name not in registry:
        raise EngineError(
            f"engine {ENGINE}{name}: only {', '.join(sorted(registry))} can be fetched"
            f"{did_you_mean(name, registry)}; "
            "`facewatch models import DIR` takes files that you have"
        )
    return registry[name]


def archive_address(name: str, base_url: str | None = None, *, registry: Mapping[str, KnownPack] = REGISTRY) -> str:
    """Return where the archive of a known pack is fetched from.

    Raises:
        EngineError: the pack is not known, or $FACEWATCH_MODELS_URL is no web address.
    """
    pack = known_pack(name, registry)
    base = base_url or os.environ.get("FACEWATCH_MODELS_URL") or _release_page()
    if not _is_web_address(base):
        raise EngineError(f"{base!r} is no web address; {ADDRESS_ADVICE}")
    return f"{base.rstrip('/')}/{pack.archive.name}"


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _release_page() -> str:
    # Before onnxruntime is imported, which insightface does: its wheels otherwise report their use.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from insightface.utils.storage import MODEL_ZOO_RELEASE_DOWNLOAD_URL

    return str(MODEL_ZOO_RELEASE_DOWNLOAD_URL)


def is_whole(name: str, folder: Path, registry: Mapping[str, KnownPack] = REGISTRY) -> bool:
    """Whether a pack is there and undamaged; reads its files."""
    return is_folder(folder / name) and not verify(name, folder, registry=registry)


def _waiting(pack: KnownPack) -> Progress:
    return Progress(0, pack.archive.size, "another facewatch is at it")


def _bring(
    pack: KnownPack, folder: Path, report: Callable[[Progress], None], base_url: str | None, free: Callable[[Path], int]
) -> None:
    part = partial_file(folder, pack.archive.name)
    _download(pack, part, report, base_url, free)
    report(Progress(pack.archive.size, pack.archive.size, "unpacking"))
    with scratch(folder, pack.name) as place:
        built = place / pack.name
        built.mkdir()
        try:
            unpack_known(part, pack, built)
        except EngineError as error:
            discard(part)
            raise EngineError(
                f"what was downloaded is not {pack.archive.name}: {error}. It was removed; try again, or get the files "
                "elsewhere and `facewatch models import DIR`"
            ) from error
        write_manifest(built, pack)
        put_in_place(built, folder / pack.name)
    discard(part)


def _download(
    pack: KnownPack, part: Path, report: Callable[[Progress], None], base_url: str | None, free: Callable[[Path], int]
) -> None:
    """Bring the archive, unless all of it came before."""
    if _is_archive(part, pack):
        return
    n_there = part.stat().st_size if part.exists() else 0
    check_room(part.parent, [max(0, pack.archive.size - n_there), pack.size], free)
    address = archive_address(pack.name, base_url, registry={pack.name: pack})
    download(address, part, report, size=pack.archive.size, note=pack.archive.name)
    if not _is_archive(part, pack):
        # Packed anew, perhaps; what it holds decides.
        log.warning("%s is not the archive that facewatch knows; its files are compared", address)


def _is_archive(part: Path, pack: KnownPack) -> bool:
    return part.exists() and part.stat().st_size == pack.archive.size and sha256_of(part) == pack.archive.sha256
