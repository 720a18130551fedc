"""All settings: their keys, defaults, meaning and limits stand once, in `SETTINGS`.

`facewatch.toml` at the top of the project is `reference_toml()`; a test holds the two together.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from facewatch.engines import is_engine_name, meant_by
from facewatch.engines.options import OPTIONS
from facewatch.errors import ConfigError
from facewatch.fs.sidecar import SIDECARS, beside

FOREIGN_FOLDERS = (
    # packages of photo programs: what they made of the photos in them, not the photos
    *("*.photoslibrary but originals, Masters", "*.photolibrary but Masters, Originals"),
    *("*.migratedphotolibrary but Masters, Originals", "*.aplibrary but Masters, *.approject", "*.apvault"),
    *("iPhoto Library/Data", "iPhoto Library/Data.noindex", "iPhoto Library/Thumbnails", "iPhoto Library/Previews"),
    *("iPhoto Library/Modified", "Data* beside AlbumData.xml", "Modified beside AlbumData.xml"),
    *("Photo Booth Library/Thumbnails", "M4ROOT/THMBNL", "pwg_representative"),
    *("*.lrdata", "*.lrcat-data", "*.lrlibrary/*/*previews"),
    *("*.cocatalog but Originals", "*.cocatalogdb", "Cache beside *.cocatalogdb", "CaptureOne/Cache"),
    *("Corel Auto-Preserve", "[[]Originals]", "*.dtrash", "iPod Photo Cache", "Generated Images.bundle"),
    *("*.imovielibrary", "*.fcpbundle", "*.tvlibrary", "*.musiclibrary", "*.app", "*.trickplay"),
    # bins; what people call theirs (Bin, Trash, Papierkorb) may be an album, and is one unless another sign shows
    # otherwise
    *("@Recycle", "#recycle", "$RECYCLE.BIN", "RECYCLER", "RECYCLED holding INFO2, desktop.ini"),
    *("Recycle Bin", "Recycle Bin - *", "Network Recycle Bin*", "trashbox", "Network Trash Folder"),
    *("Google Photos/Trash", "Google Photos/Bin", "Google Fotos/Papierkorb", "Google Fotos/Papelera"),
    *("Google Photos/Corbeille", "Google Foto/Cestino"),
    # snapshots, backups of a whole machine, and what a disk check found
    *("#snapshot", "~snapshot", "@Recently-Snapshot", "@snapshot", "@snapshots", "@sharesnap"),
    *("@GMT-*", "timeshift/snapshots*"),
    *("System Volume Information", "lost+found", "LOST.DIR", "FOUND.[0-9][0-9][0-9]"),
    *("Backups.backupdb", "*.sparsebundle", "*.backupbundle", "MobileSync/Backup", "_gsdata_", "*.ffs_tmp"),
    # servers: thumbnails, versions, caches
    *("@eaDir", "@tmp", "@__thumb", "@Transcode", "@sharebin", "@upload_cache", "files_trashbin"),
    *("files_versions", "appdata_*"),
    *("uploads beside files_trashbin, files_versions", "thumbnails beside files_trashbin, files_versions"),
    *("__groupfolders/trash", "__groupfolders/versions"),
    *("immich*/thumbs", "thumbs holding .immich", "thumbs beside encoded-video, profile"),
    *("encoded-video holding .immich", "encoded-video beside thumbs", "profile holding .immich"),
    *("thumbs/????????-????-????-????-????????????", "photoprism/storage", "photoprism/cache"),
    *("photoprism/sidecar", "storage/cache beside sidecar"),
    *("sidecar beside cache", "protected_media", "_data/i", "uploads/thumb", "uploads/thumb2x"),
    *("Plex Media Server", "Plex Versions", "jellyfin/metadata", "jellyfin/cache", "emby/metadata", "emby/cache"),
    *("metadata/library", "metadata/People", "userdata/Thumbnails", "seafile-data"),
    *("Android/data/*/cache", "AppData/Local", "Library/Caches", "__MACOSX", "Temporary Items"),
    *("(A Document Being Saved*", "*.download"),
)
FOREIGN_FILES = (
    *("*.???_original", "*_exiftool_tmp", "*.????_original", "*.bak", "*.bak[0-9]", "*.bck", "*.backup", "*.orig"),
    *("*.original", "*.???.old", "*.????.old", "*~"),
    *("*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.opdownload", "*.downloading"),
    *("*.aria2", "*.xltd", "*.td", "*.dtapart", "*.fdmdownload", "*.!qB", "*.!ut", "*.!bt", "*.bc!", "*.!sync"),
    *("*.ocTransferId*", "*.crswap", "*.sb-????????-??????", "*.tmp", "*.temp"),
    *("SYNOFILE_THUMB_*", "SYNOPHOTO_THUMB_*", "SYNOPHOTO_FILM_*", "SYNOINDEX_*", "ehthumbs*.db"),
)
"""What other programs keep beside the photos. See `scan.Rules` for what can be said."""

LONG_LIST = 100
"""Characters, above which a list is written in lines of its own."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the file."""

    name: str
    """Its section and key: "library.photos"."""
    default: Any
    comment: str
    check: Callable[[Any], str | None]
    """Returns what would be right where the value is not, else None."""


def _number(low: float, high: float, *, whole: bool = False) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            return f"{'a whole number' if whole else 'a number'} from {low:g} to {high:g}"
        return None

    return check


def _choice(*choices: str) -> Callable[[Any], str | None]:
    return lambda value: None if value in choices else "one of " + ", ".join(f'"{choice}"' for choice in choices)


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and "\0" not in value else "a text in quotes"


def _texts(value: Any) -> str | None:
    is_right = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    return None if is_right else 'a list of texts, for example ["Screenshots", "*.png"]'


def _text_or_texts(value: Any) -> str | None:
    return _text(value) and _texts(value) and 'a folder in quotes, or a list of them: ["/data/a", "/data/b"]'


def _whole_path(value: Any) -> str | None:
    """A relative one would mean another folder to a watcher that was started elsewhere."""
    is_right = _text(value) is None and (not value or value.startswith(("/", "~")))
    return None if is_right else 'a whole path in quotes: "/data/models" or "~/models"'


def _engine(value: Any) -> str | None:
    if value == "" or (isinstance(value, str) and is_engine_name(value)):
        return None
    is_word = isinstance(value, str) and value.strip(" :")
    meant = f"; did you mean {meant_by(value)}? (`facewatch models` lists the engines)" if is_word else ""
    return f'"face_recognition", or "insightface:" and the name of a pack{meant}'


def _hours(value: Any) -> str | None:
    """Text like "22:00-06:00", or empty."""
    is_right = isinstance(value, str) and (not value or _HOURS.fullmatch(value))
    return None if is_right else 'two times of the day, "22:00-06:00", or empty'


_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


def names_together(text: str) -> tuple[str, ...]:
    """Return the names in a text like "Anna & Ben"; "&&" stands for an & in a name."""
    parts = re.split(r"(?<!&)&(?!&)", text)
    return tuple(part.strip().replace("&&", "&") for part in parts)


def _groups_of_names(value: Any) -> str | None:
    """Texts of two names or more, with & between them."""
    is_right = _texts(value) is None and all(len(names) > 1 and all(names) for names in map(names_together, value))
    return None if is_right else 'a list of names with & between them: ["Anna & Ben"]; "&&" is an & in a name'


def _address(value: Any) -> str | None:
    """Of the head of a cluster, or empty."""
    is_right = isinstance(value, str) and re.fullmatch(r"|local|auto|[^\s/]+:[0-9]{1,5}", value)
    return None if is_right else '"local", "auto", or host and port of the head of a cluster: "archive1:6379"'


def _pairs_of_paths(value: Any) -> str | None:
    """Texts of two whole paths each, with = between them."""
    is_right = _texts(value) is None and all(re.fullmatch(r"/[^=]*=/[^=]*", pair) for pair in value)
    return None if is_right else 'a list of two whole paths with = between them: ["/srv/photos=/mnt/photos"]'


def _yes_no(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


SETTINGS = (
    Setting(
        "library.photos",
        "",
        'The folder with your photos, or a list of them: ["/data/a", "/data/b"]. They are only ever read.',
        _text_or_texts,
    ),
    Setting(
        "library.people", "", 'The folder that gets a folder per person; empty: "People" beside the photos.', _text
    ),
    Setting("library.catalog", "", "The catalog, one SQLite file on a local disk; empty: in your data folder.", _text),
    Setting(
        "library.exclude",
        (),
        "Files and folders to pass over: a name, a pattern, or a path below the photos; upper and lower case are one. "
        "Hidden ones always are.",
        _texts,
    ),
    Setting(
        "library.exclude_folders",
        FOREIGN_FOLDERS,
        "Folders that other programs keep: packages, bins, snapshots, thumbnails. Take out what you want to have "
        'scanned; []: all. "A/B" is a folder B in an A; "A but B": all in A except B; "A beside B", "A holding B": '
        "only where there is a B.",
        _texts,
    ),
    Setting(
        "library.exclude_files",
        FOREIGN_FILES,
        "Files that other programs keep: copies from before an edit, downloads that have not ended, thumbnails; []: "
        "all are scanned.",
        _texts,
    ),
    Setting(
        "library.aligned",
        (),
        "Libraries among these that hold aligned crops of one face each: nothing is detected in them.",
        _texts,
    ),
    Setting(
        "library.max_megapixels",
        200,
        "Photos with more pixels than this are refused before anything is decoded.",
        _number(1, 2000),
    ),
    Setting(
        "engine.name",
        "",
        'The models that find faces and tell them apart: "face_recognition", or "insightface:PACK" (see `facewatch '
        'models`); empty: the one in use, at first "face_recognition".',
        _engine,
    ),
    *(
        Setting(
            f"engine.{option.name}",
            option.choices[0] if option.choices else "",
            option.help,
            _choice(*option.choices) if option.choices else _whole_path,
        )
        for option in OPTIONS
    ),
    Setting("engine.workers", 0, "Photos analysed at the same time; 0: one a core.", _number(0, 256, whole=True)),
    Setting(
        "match.strictness",
        0.0,
        "Distance taken off every threshold of the engine: above 0 is stricter, below 0 is looser.",
        _number(-0.2, 0.2),
    ),
    Setting(
        "match.normalised",
        True,
        "Judge similarity by what both sides have with strangers, so that one threshold serves family photos and film "
        "stills. false: take it as it comes.",
        _yes_no,
    ),
    Setting(
        "match.shortlist",
        5,
        "People whose centroids are nearest; the distance to their faces decides.",
        _number(1, 100, whole=True),
    ),
    Setting(
        "match.aggregation",
        "combined",
        'Which distance to a person\'s faces decides: "minimum", "mean", that to their "centroid", or "combined": the '
        "minimum, with a limit for the centroid. `facewatch evaluate` compares them.",
        _choice("combined", "minimum", "mean", "centroid"),
    ),
    Setting(
        "match.min_face_confidence",
        0.0,
        "Faces that the detector is less sure of are shown but never matched; its own scale: face_recognition 0 to 1 "
        "(hog: to 4), InsightFace 0.5 to 1. 0: whatever it reports may be matched.",
        _number(0, 10),
    ),
    Setting(
        "match.min_face_pixels",
        0,
        "Smaller faces (shorter side, in the full-size photo) are shown but never matched. 0: what the engine needs, "
        "face_recognition 24, InsightFace 16.",
        _number(0, 1000, whole=True),
    ),
    Setting(
        "match.min_sharpness",
        0.0,
        "More blurred faces are shown but never matched: variance of the Laplacian of the aligned face at 112 pixels "
        "and ordinary contrast. Nine faces in ten have more than 40. 0: what the engine needs, face_recognition 5, "
        "InsightFace 2.5.",
        _number(0, 10000),
    ),
    Setting(
        "cluster.method",
        "whispers",
        "How faces that belong to nobody are grouped; docs/evaluation.md has a table. infomap is a package of its own.",
        _choice("whispers", "linkage", "hdbscan", "dbscan", "spectral", "infomap"),
    ),
    Setting(
        "cluster.eps",
        0.0,
        "whispers, dbscan, infomap: faces farther apart than this are no neighbours; 0: the engine's own, which falls "
        "as the library grows.",
        _number(0, 1.4),
    ),
    Setting(
        "cluster.min_samples",
        2,
        "dbscan: a face with this many within eps, itself included, takes them into its group.",
        _number(1, 65, whole=True),
    ),
    Setting(
        "cluster.k_reciprocal",
        20,
        "spectral: among how many nearest faces two faces must find each other.",
        _number(2, 64, whole=True),
    ),
    Setting(
        "cluster.verification_threshold",
        0.0,
        "spectral: faces farther than this from their group's centroid leave it; 0: the engine's own.",
        _number(0, 1.4),
    ),
    Setting(
        "cluster.n_clusters",
        0,
        "spectral: how many people the cuts aim at; the verification may differ. 0: it finds out.",
        _number(0, 1e6, whole=True),
    ),
    Setting("cluster.min_faces", 2, "A group needs this many faces to become a person.", _number(2, 100, whole=True)),
    Setting(
        "cluster.after_faces",
        1,
        "While watching, group again when the pool has grown by this many faces ...",
        _number(1, 100000, whole=True),
    ),
    Setting("cluster.after_share", 0.01, "... and by this share of its size ...", _number(0, 1)),
    Setting("cluster.after_seconds", 60, "... or when faces have waited this long.", _number(1, 86400)),
    Setting(
        "folders.link",
        "auto",
        "How a photo gets into a person's folder: a symlink, a hard link, a copy, or a reflink: a copy that takes no "
        'room (Btrfs, XFS). "auto" takes what the disk can hold, and keeps to it.',
        _choice("auto", "symlink", "hardlink", "copy", "reflink"),
    ),
    Setting(
        "folders.show",
        "photos",
        'What is in a person\'s folder: their "photos", or their "faces", cut out of them.',
        _choice("photos", "faces"),
    ),
    Setting("folders.unnamed", True, 'Make folders for unnamed people too, under "_unnamed".', _yes_no),
    Setting(
        "folders.unnamed_photos",
        1,
        "... of those who are on at least this many photos.",
        _number(1, 1e6, whole=True),
    ),
    Setting(
        "folders.layout",
        "person",
        'Whether all links of a person are in one folder, or by the year in which the photo was taken: "person/year".',
        _choice("person", "person/year"),
    ),
    Setting(
        "folders.names",
        "file",
        'What a link is called: as its "file", or with the "date" before that: 2024-05-03 14.22.10 IMG_1010.JPG.',
        _choice("file", "date"),
    ),
    Setting(
        "folders.cover",
        "off",
        'A picture of each person in their folder, "folder.jpg" or "cover.jpg", which many programs show in the '
        "folder's place.",
        _choice("off", "folder.jpg", "cover.jpg"),
    ),
    Setting(
        "folders.together",
        (),
        'People whose photos together get a folder under "_together": ["Anna & Ben"]; "&&" is an & in a name.',
        _groups_of_names,
    ),
    Setting(
        "folders.review",
        0,
        'Photos under "_review" for each person with a name, on which they may be: move one to their folder to say '
        "yes, delete it to say no. 0: none.",
        _number(0, 1000, whole=True),
    ),
    Setting(
        "folders.edit",
        "follow",
        "What you rename, move or delete in the people folder: follow decides so, ask waits for `facewatch folders "
        "--accept`, ignore puts it back.",
        _choice("follow", "ask", "ignore"),
    ),
    Setting(
        "folders.most_changes",
        200,
        "More changes at once than this, or than a tenth of all links, wait for `facewatch folders --accept`.",
        _number(1, 1e6, whole=True),
    ),
    Setting(
        "regions.read",
        "both",
        'Names that other programs gave to faces are taken over, where you have not said otherwise: "sidecar" reads '
        'files beside the photos (XMP, Picasa, Google), "embedded" what is in the photos, "both" all of it; "off": no '
        "file is asked.",
        _choice("both", "sidecar", "embedded", "off"),
    ),
    Setting(
        "regions.xmp",
        "off",
        'Whether scans and the watcher write who is in your photos for other programs: "sidecar" writes XMP files, '
        'never a photo; "off": only `facewatch regions --write` does.',
        _choice("off", "sidecar"),
    ),
    Setting(
        "regions.beside",
        False,
        "true: beside the photos, where other programs look for them (IMG.JPG.xmp); false: into a folder of their own.",
        _yes_no,
    ),
    Setting(
        "regions.folder",
        "",
        "That folder, with the same folders as each library; empty: beside the catalog, of its name with .sidecars.",
        _whole_path,
    ),
    Setting(
        "regions.who",
        "confirmed",
        'Which faces of people with names are written: "confirmed" by you or taken over from files, or all that are '
        '"named".',
        _choice("confirmed", "named"),
    ),
    Setting(
        "watch.settle_seconds",
        2.0,
        "A file is read when its size and time have been still for this long.",
        _number(0.1, 600),
    ),
    Setting(
        "watch.removal_seconds",
        5.0,
        "A file counts as gone when it has been for this long; a move takes two steps.",
        _number(0.1, 86400),
    ),
    Setting(
        "watch.scan_minutes",
        60.0,
        "Compare the whole library again this often, whatever events came.",
        _number(0.01, 100000),
    ),
    Setting(
        "watch.poll",
        "auto",
        '"auto" listens to the kernel where it can; "always" scans again every poll_seconds (network drives).',
        _choice("auto", "always"),
    ),
    Setting("watch.poll_seconds", 5.0, "How often polling looks.", _number(0.1, 86400)),
    Setting("watch.idle_seconds", 60.0, "Models are let go when nothing has come for this long.", _number(0, 86400)),
    Setting(
        "watch.hours",
        "",
        'Analyse photos only at these hours, "22:00-06:00"; empty: at any. What comes meanwhile waits.',
        _hours,
    ),
    Setting(
        "resources.memory_mb",
        0,
        "What facewatch may take of the memory, in MB; with less it works in smaller parts. 0: what the system lets it "
        "have (a container's limit).",
        _number(0, 1e6, whole=True),
    ),
    Setting(
        "resources.niceness",
        5,
        "How far the watcher gives way to other programs: 0 not at all, 19 as far as can be.",
        _number(0, 19, whole=True),
    ),
    Setting(
        "resources.idle_io", False, "Whether the watcher reads only when nobody else wants the disk (Linux).", _yes_no
    ),
    Setting(
        "resources.photo_seconds",
        300.0,
        "A photo that takes longer than this is put aside; a hung decoder costs no more.",
        _number(1, 86400),
    ),
    Setting(
        "resources.pictures_mb",
        2000,
        "Space for pictures of faces and photos that were shown, in MB, beside the catalog; those used longest ago go.",
        _number(100, 1e6, whole=True),
    ),
    Setting(
        "search.index",
        "exact",
        'How search finds faces among half a million and more: "exact" compares with all of them; "rabitq" asks an '
        'index (pip install "facewatch[search]"), which takes a seventh of the time and may miss one in a hundred. '
        "Nothing else asks it.",
        _choice("exact", "rabitq"),
    ),
    Setting(
        "ray.address",
        "",
        'Where photos are analysed on more machines than this one: the head of a Ray cluster, "host:6379", "auto" on a '
        'machine of the cluster, or "local" (pip install "facewatch[ray]"). Empty: here. See docs/scale.md.',
        _address,
    ),
    Setting(
        "ray.photos",
        "shared",
        '"shared": all machines of the cluster read the photos from the same storage; "shipped": they are sent.',
        _choice("shared", "shipped"),
    ),
    Setting(
        "ray.paths",
        (),
        'Where the other machines have shared photos under another path: ["/srv/photos=/mnt/photos"], ours first.',
        _pairs_of_paths,
    ),
    Setting("backup.daily", True, "Whether the watcher backs the catalog up once a day.", _yes_no),
    Setting("backup.keep", 7, "How many daily backups are kept.", _number(1, 1000, whole=True)),
    Setting(
        "backup.folder",
        "",
        "Where they go; empty: beside the catalog, in a folder of its name with .backups.",
        _whole_path,
    ),
    Setting(
        "web.hosts",
        (),
        "Names under which the page of `facewatch web` may be reached, besides this machine's own: what a proxy in "
        'front of it is called, for example ["photos.home"].',
        _texts,
    ),
)


@dataclass(frozen=True, slots=True)
class Config:
    """Settings with defaults filled in and paths made absolute; made by `load_config`."""

    photos: tuple[Path, ...]
    """The libraries; none: those that the catalog knows."""
    aligned: tuple[Path, ...]
    """Those whose photos are crops of one face each."""
    people: Path | None
    """None: where it was before, else "People" beside the first library."""
    catalog: Path
    backups: Path | None
    """The folder of the daily backups; None: beside the catalog."""
    sidecars: Path
    """The folder for sidecars of photos beside which nothing may be written."""
    source: str
    """The file they came from, or "defaults"."""
    values: Mapping[str, Any] = field(repr=False)
    """Every setting by "section.key"."""

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


def find_config_file(explicit: Path | None, *, cwd: Path) -> Path | None:
    """Return the settings file to read: --config, $FACEWATCH_CONFIG, ./facewatch.toml, the user's folder, or None.

    Raises:
        ConfigError: a file that was named does not exist.
    """
    named = explicit or (Path(os.environ["FACEWATCH_CONFIG"]) if os.environ.get("FACEWATCH_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(str(named), ["there is no such file; `facewatch init PHOTOS` writes one"])
        return named
    candidates = (cwd / "facewatch.toml", user_config_file())
    return next((file for file in candidates if file.is_file() and not _is_reference(file)), None)


def _is_reference(file: Path) -> bool:
    """Whether a file says nothing but the defaults: that of the checkout must not hide the user's own."""
    try:
        return file.read_text(encoding="utf-8") == reference_toml()
    except (OSError, UnicodeDecodeError):
        return False


def user_config_file() -> Path:
    return Path(platformdirs.user_config_dir("facewatch", appauthor=False)) / "facewatch.toml"


def default_catalog() -> Path:
    return Path(platformdirs.user_data_dir("facewatch", appauthor=False)) / "catalog.sqlite"


def load_config(file: Path | None, overrides: Mapping[str, Any], *, cwd: Path) -> Config:
    """Return checked settings: defaults, then the file, then overrides ("section.key") that are not None.

    Relative paths in the file are relative to the file, those of the command line to `cwd`.

    Raises:
        ConfigError: with every fault found.
    """
    given, faults = read_values(file) if file else ({}, [])
    wanted = {key: value for key, value in overrides.items() if value is not None}
    checked, more_faults = _check_values(wanted.items())
    if faults or more_faults:
        raise ConfigError(str(file) if file else "the command line", [*faults, *more_faults])
    values = {s.name: s.default for s in SETTINGS} | given | checked

    def paths(key: str) -> tuple[Path, ...]:
        base = file.resolve().parent if file and key not in wanted else cwd
        value = values[key]
        return tuple(_path(text, base) for text in ([value] if isinstance(value, str) else value) if text)

    catalog = next(iter(paths("library.catalog")), default_catalog())
    return Config(
        photos=paths("library.photos"),
        aligned=paths("library.aligned"),
        people=next(iter(paths("library.people")), None),
        catalog=catalog,
        backups=next(iter(paths("backup.folder")), None),
        sidecars=next(iter(paths("regions.folder")), beside(catalog, SIDECARS)),
        source=str(file) if file else "defaults",
        values=values,
    )


def changed(config: Config, values: Mapping[str, Any], *, source: str) -> Config:
    """Return the settings with other values ("section.key"), none of which is a path.

    Raises:
        ConfigError: with every fault found; `source` says where the values come from.
    """
    checked, faults = _check_values(values.items())
    if faults:
        raise ConfigError(source, faults)
    return replace(config, values={**config.values, **checked})


def _path(text: str, base: Path) -> Path:
    return Path(os.path.normpath(base / Path(text).expanduser()))


def read_values(file: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of a file that are right, by "section.key", and what is wrong with the others or with it."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        return {}, ["not UTF-8 text; save it as UTF-8"]
    except tomllib.TOMLDecodeError as error:
        return {}, [f"not TOML: {error}"]
    except OSError as error:
        return {}, [f"cannot be read: {error.strerror}"]
    return _check_values(_flatten(tables))


def _check_values(pairs: Iterable[tuple[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    known = {s.name: s for s in SETTINGS}
    values: dict[str, Any] = {}
    faults: list[str] = []
    for key, value in pairs:
        if key not in known:
            faults.append(f"unknown setting {key}{_suggestion(key, known)}")
        elif (expected := known[key].check(value)) is not None:
            faults.append(f"{key} = {value!r}: must be {expected}")
        else:
            values[key] = value
    return values, faults


def _flatten(tables: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    sections = {s.name.partition(".")[0] for s in SETTINGS}
    for name, content in tables.items():
        if name in sections and isinstance(content, dict):
            yield from ((f"{name}.{key}", value) for key, value in content.items())
        else:
            yield name, content


def _suggestion(key: str, known: Iterable[str]) -> str:
    known = list(known)
    last = {name.rsplit(".", 1)[1]: name for name in known}
    near = difflib.get_close_matches(key, known, 1, 0.6) or [
        last[name] for name in difflib.get_close_matches(key.rsplit(".", 1)[-1], last, 1, 0.6)
    ]
    return f"; did you mean {near[0]}?" if near else ""


def reference_toml(values: Mapping[str, Any] | None = None) -> str:
    """Return a facewatch.toml with every key, its comment, and its default or the given value ("section.key")."""
    lines = ["# facewatch: every setting with its default.", ""]
    before = ""
    for setting in SETTINGS:
        section, _, key = setting.name.partition(".")
        if section != before:
            lines += ["", f"[{section}]"] if len(lines) > 2 else [f"[{section}]"]
            before = section
        value = (values or {}).get(setting.name, setting.default)
        lines += [f"# {setting.comment}", f"{key} = {_toml(value)}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        items = ", ".join(_toml(item) for item in value)
        return f"[{items}]" if len(items) <= LONG_LIST else "[\n" + "".join(_lines(value)) + "]"
    escaped = "".join(_escape(character) for character in str(value))
    return f'"{escaped}"'


def _lines(items: Iterable[Any]) -> Iterable[str]:
    """Yield a long list in lines of some items each."""
    line = ""
    for text in (f"{_toml(item)}," for item in items):
        if line and len(line) + len(text) > LONG_LIST:
            yield f"    {line}\n"
            line = ""
        line += f" {text}" if line else text
    yield f"    {line}\n"


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
