"""The catalog's schema, one numbered migration after another; what has landed is never edited.

Every table is STRICT. Times are UTC, ISO 8601. Comments stand inside the statements because SQLite keeps them: whoever
opens the catalog with another tool reads them in `.schema`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

MIGRATIONS = Migrations("facewatch")

_TABLES = (
    """
    CREATE TABLE settings (
        key TEXT PRIMARY KEY,  -- library_id, people_folder (where it was last), grouped (what the pool was like)
        value TEXT NOT NULL  -- JSON
    ) STRICT
    """,
    """
    CREATE TABLE roots (
        id INTEGER PRIMARY KEY,
        path BLOB NOT NULL UNIQUE,  -- absolute, as the bytes of the file system
        display TEXT NOT NULL,  -- the same for people, undecodable bytes replaced
        device INTEGER NOT NULL,  -- st_dev when it was last seen
        added_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE photos (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sha256 BLOB NOT NULL UNIQUE,  -- of all bytes; the photo is its content
        width INTEGER,  -- of the upright photo in pixels; NULL until it was decoded
        height INTEGER,
        format TEXT,
        added_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        root_id INTEGER NOT NULL REFERENCES roots(id),
        path BLOB NOT NULL,  -- below the root, as the bytes of the file system
        display TEXT NOT NULL,  -- the same for people
        size INTEGER NOT NULL,  -- bytes; size, mtime_ns and inode tell whether the file changed
        mtime_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        photo_id INTEGER REFERENCES photos(id),  -- NULL: not a photo, or not readable
        fault TEXT,  -- what is wrong with the file; NULL: nothing
        advice TEXT,  -- what to do about it
        seen_at TEXT NOT NULL,  -- when this state was recorded
        UNIQUE (root_id, path)
    ) STRICT
    """,
    "CREATE INDEX files_photo ON files(photo_id)",
    """
    CREATE TABLE engines (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        fingerprint TEXT NOT NULL UNIQUE,  -- SHA-256 over the model files and the way they are used
        n_dims INTEGER NOT NULL,
        licence TEXT NOT NULL,
        added_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE analyses (  -- which engine looked at which photo, also when it found no face
        photo_id INTEGER NOT NULL REFERENCES photos(id),
        engine_id INTEGER NOT NULL REFERENCES engines(id),
        n_faces INTEGER NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (photo_id, engine_id)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE faces (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        photo_id INTEGER NOT NULL REFERENCES photos(id),
        x INTEGER NOT NULL,  -- the box in pixels of the upright photo, (x, y) its left upper corner
        y INTEGER NOT NULL,
        w INTEGER NOT NULL,
        h INTEGER NOT NULL,
        landmarks TEXT NOT NULL,  -- JSON: x and y of five points
        score REAL NOT NULL,  -- the detector's confidence, on its own scale
        sharpness REAL NOT NULL,  -- variance of the Laplacian on the aligned crop
        brightness REAL NOT NULL,  -- mean grey value, 0 to 255
        quality REAL NOT NULL,  -- 0 to 1
        tier TEXT NOT NULL CHECK (tier IN ('found', 'match', 'show'))  -- what the face may do
    ) STRICT
    """,
    "CREATE INDEX faces_photo ON faces(photo_id)",
    """
    CREATE TABLE embeddings (
        face_id INTEGER NOT NULL REFERENCES faces(id),
        engine_id INTEGER NOT NULL REFERENCES engines(id),
        vector BLOB NOT NULL,  -- unit vector, little-endian float32, engines.n_dims numbers
        PRIMARY KEY (engine_id, face_id)
    ) STRICT
    """,
    """
    CREATE TABLE people (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
        name TEXT,  -- NULL: not named yet, shown as "Person 0012"
        is_hidden INTEGER NOT NULL DEFAULT 0,
        is_touched INTEGER NOT NULL DEFAULT 0,  -- a user decided something about it: no run may absorb or split it
        folder TEXT,  -- the folder made for it, below the people folder
        created_at TEXT NOT NULL,
        merged_into INTEGER REFERENCES people(id)  -- NULL: still a person
    ) STRICT
    """,
    # A gone person may keep its name; two living ones may not share one.
    "CREATE UNIQUE INDEX people_name ON people(name) WHERE name IS NOT NULL AND merged_into IS NULL",
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,  -- scan, watch, recluster
        pid INTEGER NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,  -- NULL: still at work, or killed
        outcome TEXT  -- JSON: what it did
    ) STRICT
    """,
    """
    CREATE TABLE assignments (
        face_id INTEGER PRIMARY KEY REFERENCES faces(id),
        person_id INTEGER NOT NULL REFERENCES people(id),
        source TEXT NOT NULL CHECK (source IN ('auto', 'cluster', 'user', 'import', 'folder')),
        distance REAL,  -- to the nearest member when it was made; Euclidean between unit vectors
        centroid_distance REAL,
        runner_up_id INTEGER,  -- the person that came second
        runner_up_distance REAL,
        rule TEXT NOT NULL,  -- why
        run_id INTEGER REFERENCES runs(id),
        at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX assignments_person ON assignments(person_id)",
    """
    CREATE TABLE suggestions (  -- the best guess for a face of the pool, and why it was not good enough
        face_id INTEGER PRIMARY KEY REFERENCES faces(id),
        person_id INTEGER NOT NULL REFERENCES people(id),
        distance REAL NOT NULL,
        centroid_distance REAL NOT NULL,
        runner_up_id INTEGER,
        runner_up_distance REAL,
        rule TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE rejections (  -- a user said: not this person
        face_id INTEGER NOT NULL REFERENCES faces(id),
        person_id INTEGER NOT NULL REFERENCES people(id),
        at TEXT NOT NULL,
        PRIMARY KEY (face_id, person_id)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE links (  -- what we made in the people folder; nothing else there is ever removed
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        person_id INTEGER NOT NULL REFERENCES people(id),
        photo_id INTEGER NOT NULL REFERENCES photos(id),
        path BLOB NOT NULL UNIQUE,  -- below the people folder
        display TEXT NOT NULL,
        source BLOB NOT NULL,  -- the file it stands for, absolute
        stamp BLOB NOT NULL  -- what stood there when it was made: only that is ever removed
    ) STRICT
    """,
    "CREATE INDEX links_person ON links(person_id)",
    """
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,  -- user, or the kind of run
        action TEXT NOT NULL,  -- rename, merge, recluster, ...
        details TEXT NOT NULL,  -- JSON: what was done
        undo TEXT NOT NULL,  -- JSON: the values that were there before
        run_id INTEGER REFERENCES runs(id)
    ) STRICT
    """,
)

_VIEWS = (
    """
    CREATE VIEW people_view AS  -- one row a living person, with what is in the library now
    SELECT p.id, COALESCE(p.name, printf('Person %04d', p.id)) AS name, p.name IS NOT NULL AS is_named,
           p.is_hidden, COUNT(f.id) AS faces, COUNT(DISTINCT f.photo_id) AS photos, p.folder
    FROM people p
    LEFT JOIN assignments a ON a.person_id = p.id
    LEFT JOIN faces f ON f.id = a.face_id AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)
    WHERE p.merged_into IS NULL
    GROUP BY p.id
    """,
    """
    CREATE VIEW faces_view AS  -- one row a face of a photo in the library
    SELECT f.id, (SELECT MIN(files.display) FROM files WHERE files.photo_id = f.photo_id) AS path, f.photo_id,
           p.id AS person_id, CASE WHEN p.id IS NOT NULL THEN COALESCE(p.name, printf('Person %04d', p.id)) END AS name,
           f.x, f.y, f.w, f.h, a.distance, a.source, a.rule, f.score, f.sharpness, f.brightness, f.quality, f.tier
    FROM faces f
    LEFT JOIN assignments a ON a.face_id = f.id
    LEFT JOIN people p ON p.id = a.person_id
    WHERE EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)
    """,
    """
    CREATE VIEW photos_view AS  -- one row a file of the library
    SELECT files.id, roots.display || '/' || files.display AS path, files.photo_id, photos.width, photos.height,
           photos.format, (SELECT COUNT(*) FROM faces WHERE faces.photo_id = photos.id) AS faces,
           files.fault, files.advice
    FROM files JOIN roots ON roots.id = files.root_id LEFT JOIN photos ON photos.id = files.photo_id
    """,
)


@MIGRATIONS(name="0001_tables")
def _tables(db: Database) -> None:
    for statement in (*_TABLES, *_VIEWS):
        db.execute(statement)


_ENGINES_CAN_CHANGE = (
    # Faces hang on photos, not on engines: several may see the same one, each with its own eyes. Comments stand in
    # front of the last token, because SQLite keeps those only.
    "ALTER TABLE engines ADD COLUMN is_in_use INTEGER /* one is: its answers are shown */ NOT NULL DEFAULT 0",
    "ALTER TABLE faces ADD COLUMN engine_id INTEGER /* whose box and quality stand here */ REFERENCES engines(id)",
    "ALTER TABLE faces ADD COLUMN is_current INTEGER /* 0: nobody's, and not seen by the engine in use */"
    " NOT NULL DEFAULT 1",
    "ALTER TABLE faces ADD COLUMN pose REAL /* 0 looks into the camera, 1 is a profile; NULL: not measured */ NULL",
    "ALTER TABLE roots ADD COLUMN is_aligned INTEGER /* 1: its photos are crops of one face each */ NOT NULL DEFAULT 0",
    """
    CREATE TABLE sightings (  -- how other engines than faces.engine_id see a face
        face_id INTEGER NOT NULL REFERENCES faces(id),
        engine_id INTEGER NOT NULL REFERENCES engines(id),
        x INTEGER NOT NULL,  -- these columns mean what they mean in faces
        y INTEGER NOT NULL,
        w INTEGER NOT NULL,
        h INTEGER NOT NULL,
        landmarks TEXT NOT NULL,
        score REAL NOT NULL,
        sharpness REAL NOT NULL,
        brightness REAL NOT NULL,
        quality REAL NOT NULL,
        tier TEXT NOT NULL,
        pose REAL,
        PRIMARY KEY (engine_id, face_id)
    ) STRICT, WITHOUT ROWID
    """,
    "UPDATE faces SET engine_id = (SELECT MAX(engine_id) FROM embeddings WHERE face_id = faces.id)",
    "UPDATE engines SET is_in_use = 1 WHERE id = (SELECT MAX(engine_id) FROM analyses)",
    "DROP VIEW faces_view",
    "DROP VIEW photos_view",
    """
    CREATE VIEW faces_view AS  -- one row a face of a photo in the library
    SELECT f.id, (SELECT MIN(files.display) FROM files WHERE files.photo_id = f.photo_id) AS path, f.photo_id,
           p.id AS person_id, CASE WHEN p.id IS NOT NULL THEN COALESCE(p.name, printf('Person %04d', p.id)) END AS name,
           f.x, f.y, f.w, f.h, a.distance, a.source, a.rule, f.score, f.sharpness, f.brightness, f.pose, f.quality,
           f.tier, e.name AS engine
    FROM faces f
    LEFT JOIN engines e ON e.id = f.engine_id
    LEFT JOIN assignments a ON a.face_id = f.id
    LEFT JOIN people p ON p.id = a.person_id
    WHERE f.is_current AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)
    """,
    """
    CREATE VIEW photos_view AS  -- one row a file of the library
    SELECT files.id, roots.display || '/' || files.display AS path, files.photo_id, photos.width, photos.height,
           photos.format, (SELECT COUNT(*) FROM faces WHERE faces.photo_id = photos.id AND is_current) AS faces,
           files.fault, files.advice
    FROM files JOIN roots ON roots.id = files.root_id LEFT JOIN photos ON photos.id = files.photo_id
    """,
)


@MIGRATIONS(name="0002_engines_can_change")
def _engines_can_change(db: Database) -> None:
    for statement in _ENGINES_CAN_CHANGE:
        db.execute(statement)


_DECISIONS = (
    "ALTER TABLE people ADD COLUMN is_gone INTEGER /* 1: forgotten, or its making was undone; never a person again"
    " unless that is undone */ NOT NULL DEFAULT 0",
    "ALTER TABLE people ADD COLUMN born TEXT /* YYYY, YYYY-MM or YYYY-MM-DD: no older photo is matched */ NULL",
    "ALTER TABLE people ADD COLUMN cover_id INTEGER /* the face that stands for the person */ REFERENCES faces(id)",
    "DROP INDEX people_name",
    "CREATE UNIQUE INDEX people_name ON people(name) WHERE name IS NOT NULL AND merged_into IS NULL AND NOT is_gone",
    "ALTER TABLE photos ADD COLUMN taken_at TEXT /* YYYY-MM-DDTHH:MM:SS by the camera's clock; '': the file does not"
    " say; NULL: not looked for yet */ NULL",
    "ALTER TABLE assignments ADD COLUMN entry_id INTEGER /* the newest journal entry when it was made */ NULL",
    "ALTER TABLE journal ADD COLUMN parent_id INTEGER /* the decision it followed from */ REFERENCES journal(id)",
    "ALTER TABLE journal ADD COLUMN undone_by INTEGER /* the entry that took it back; NULL: it stands */"
    " REFERENCES journal(id)",
    "CREATE INDEX journal_parent ON journal(parent_id)",
    """
    CREATE TABLE marks (  -- what a user said about a face that is nobody's
        face_id INTEGER PRIMARY KEY REFERENCES faces(id),
        mark TEXT NOT NULL CHECK (mark IN ('nobody', 'not_a_face', 'forgotten')),  -- no run places such a face
        at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE apart (  -- a user said: two people; no run makes them one, and nobody is asked again
        person_id INTEGER NOT NULL REFERENCES people(id),
        other_id INTEGER NOT NULL REFERENCES people(id),
        at TEXT NOT NULL,
        PRIMARY KEY (person_id, other_id),
        CHECK (person_id < other_id)
    ) STRICT, WITHOUT ROWID
    """,
    "DROP VIEW people_view",
    """
    CREATE VIEW people_view AS  -- one row a living person, with what is in the library now
    SELECT p.id, COALESCE(p.name, printf('Person %04d', p.id)) AS name, p.name IS NOT NULL AS is_named,
           p.is_hidden, COUNT(f.id) AS faces, COUNT(DISTINCT f.photo_id) AS photos, p.born, p.folder
    FROM people p
    LEFT JOIN assignments a ON a.person_id = p.id
    LEFT JOIN faces f ON f.id = a.face_id AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)
    WHERE p.merged_into IS NULL AND NOT p.is_gone
    GROUP BY p.id
    """,
)


@MIGRATIONS(name="0003_decisions")
def _decisions(db: Database) -> None:
    for statement in _DECISIONS:
        db.execute(statement)


_WATCHING = (
    "ALTER TABLE roots ADD COLUMN is_arriving INTEGER /* 1: it has not been looked through as a whole yet, so that what"
    " is missing elsewhere may have been moved here */ NOT NULL DEFAULT 0",
    "CREATE INDEX files_inode ON files(inode)",
    "ALTER TABLE files ADD COLUMN photo_before INTEGER /* which photo a file that holds none held last; NULL: it holds"
    " one, or never did */ REFERENCES photos(id)",
    """
    CREATE TABLE mounts (  -- folders of a library on which another drive is mounted
        root_id INTEGER NOT NULL REFERENCES roots(id) ON DELETE CASCADE,
        path BLOB NOT NULL,  -- below the root, bytes as the file system has them
        PRIMARY KEY (root_id, path)
    ) STRICT, WITHOUT ROWID
    """,
)


@MIGRATIONS(name="0004_watching")
def _watching(db: Database) -> None:
    for statement in _WATCHING:
        db.execute(statement)


@MIGRATIONS(name="0005_null_dates")
def _null_dates(db: Database) -> None:
    """Ask again when photos were taken that said nothing before IPTC was read, or what a clock said that nobody set."""
    nulls = "('2002-12-08T12:00:00', '2038-01-19T03:14:07', '2106-02-07T06:28:15')"
    db.execute(f"UPDATE photos SET taken_at = NULL WHERE taken_at < '1981' OR taken_at IN {nulls}")


_CTIMES = (
    "ALTER TABLE files ADD COLUMN ctime_ns INTEGER /* when anything of the file changed last, its rights and names"
    " included; NULL: not known, the next look fills it in, or reads again what holds no photo */ NULL",
    "ALTER TABLE files ADD COLUMN n_rereads INTEGER /* how often in a row it was read again, size and mtime_ns being"
    " the same, and held the same */ NOT NULL DEFAULT 0",
)


@MIGRATIONS(name="0006_ctimes")
def _ctimes(db: Database) -> None:
    for statement in _CTIMES:
        db.execute(statement)


@MIGRATIONS(name="0007_passed_over")
def _passed_over(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE passed_over (  -- what of a library the last whole look at it did not look at, and why
            root_id INTEGER NOT NULL REFERENCES roots(id) ON DELETE CASCADE,
            rule TEXT NOT NULL,  -- hidden, an entry of a setting, or a file that marks its folder
            n_folders INTEGER NOT NULL,  -- what is in them is not counted
            n_files INTEGER NOT NULL,
            PRIMARY KEY (root_id, rule)
        ) STRICT, WITHOUT ROWID
        """
    )


_LINEAGE = (
    """
    CREATE TABLE lineage (  -- which face a face was, in another version of its photo: before an edit, in another format
        face_id INTEGER PRIMARY KEY REFERENCES faces(id) ON DELETE CASCADE,
        before_id INTEGER NOT NULL REFERENCES faces(id) ON DELETE CASCADE,  -- what was said of this one is true of it
        at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX lineage_before ON lineage(before_id)",
)


@MIGRATIONS(name="0008_lineage")
def _lineage(db: Database) -> None:
    for statement in _LINEAGE:
        db.execute(statement)


@MIGRATIONS(name="0009_strictness")
def _strictness(db: Database) -> None:
    db.execute(
        "ALTER TABLE runs ADD COLUMN strictness REAL /* match.strictness as it was; NULL: not known. What a run placed"
        " with less than today's may be in the wrong place */ NULL"
    )


@MIGRATIONS(name="0010_misread")
def _misread(db: Database) -> None:
    """Look again at photos of formats of which an older version took some for something else, negatives for one."""
    db.execute(
        "ALTER TABLE photos ADD COLUMN is_misread INTEGER /* 1: it may have been taken for another picture than it is;"
        " faces are looked for anew at the next look at a file of it */ NOT NULL DEFAULT 0"
    )
    db.execute("UPDATE photos SET is_misread = 1 WHERE format IN ('TIFF', 'JP2', 'BMP')")
    # No file has that ctime, so that all of these have changed.
    db.execute("UPDATE files SET ctime_ns = -1 WHERE photo_id IN (SELECT id FROM photos WHERE is_misread)")


_DOWN = tuple(
    f"(json_extract(landmarks, '$[{4 + i}]') + json_extract(landmarks, '$[{6 + i}]')"
    f" + json_extract(landmarks, '$[{8 + i}]')) / 3.0"
    f" - (json_extract(landmarks, '$[{i}]') + json_extract(landmarks, '$[{2 + i}]')) / 2.0"
    for i in (0, 1)
)
"""x and y of the way from the eyes to nose and mouth."""


@MIGRATIONS(name="0011_turns")
def _turns(db: Database) -> None:
    """Put on record which way up faces are, and look again at photos that no engine was sure to see a face in."""
    x, y = _DOWN
    for table in ("faces", "sightings"):
        db.execute(
            f"ALTER TABLE {table} ADD COLUMN turn INTEGER /* by how many degrees clockwise the photo has to be turned"
            " for the face to be upright: 0, 90, 180 or 270 */ NOT NULL DEFAULT 0"
        )
        db.execute(
            f"UPDATE {table} SET turn = CASE WHEN abs({x}) > abs({y}) THEN iif({x} > 0, 90, 270)"
            f" WHEN {y} < 0 THEN 180 ELSE 0 END WHERE json_array_length(landmarks) = 10"
        )
    db.execute(
        "UPDATE photos SET is_misread = 1 WHERE NOT EXISTS (SELECT 1 FROM faces f JOIN engines e ON e.id = f.engine_id"
        " WHERE f.photo_id = photos.id AND f.score >= iif(e.name LIKE 'insightface:%', 0.75, 0.5))"
    )
    # No file has that ctime, so that all of these have changed.
    db.execute("UPDATE files SET ctime_ns = -1 WHERE photo_id IN (SELECT id FROM photos WHERE is_misread)")
    db.execute("DROP VIEW faces_view")
    db.execute(
        """
        CREATE VIEW faces_view AS  -- one row a face of a photo in the library
        SELECT f.id, (SELECT MIN(files.display) FROM files WHERE files.photo_id = f.photo_id) AS path, f.photo_id,
               p.id AS person_id,
               CASE WHEN p.id IS NOT NULL THEN COALESCE(p.name, printf('Person %04d', p.id)) END AS name,
               f.x, f.y, f.w, f.h, f.turn, a.distance, a.source, a.rule, f.score, f.sharpness, f.brightness, f.pose,
               f.quality, f.tier, e.name AS engine
        FROM faces f
        LEFT JOIN engines e ON e.id = f.engine_id
        LEFT JOIN assignments a ON a.face_id = f.id
        LEFT JOIN people p ON p.id = a.person_id
        WHERE f.is_current AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)
        """
    )


@MIGRATIONS(name="0012_signal")
def _signal(db: Database) -> None:
    for table in ("faces", "sightings"):
        db.execute(
            f"ALTER TABLE {table} ADD COLUMN norm REAL /* the embedding's length before it was made 1: the shorter,"
            " the less the recogniser saw; NULL: not known, or it says nothing of this engine's faces */ NULL"
        )
        db.execute(
            f"ALTER TABLE {table} ADD COLUMN covered TEXT /* what of the face something hides: eyes, mouth, eyes and"
            " mouth, or empty for nothing; NULL: not known */ NULL"
        )


_FAULT_CODES = (
    ("unreadable", "cannot be read*", ""),
    ("empty", "empty file", ""),
    ("not-image", "not an image but *", "substr(fault, 18)"),
    ("rare-or-damaged", "a * of a rare kind that is not supported, or *", "substr(fault, 3, instr(fault, ' of ') - 3)"),
    ("rare", "a * of a rare kind that is not supported*", "substr(fault, 3, instr(fault, ' of ') - 3)"),
    ("unknown-raw", "a RAW photo of an unknown kind*", ""),
    ("truncated", "truncated *", "substr(fault, 11)"),
    ("damaged", "damaged * (*", "substr(fault, 9, instr(fault, ' (') - 9)"),
    ("too-many-for-kind", "too many pixels for a *", "substr(fault, 23)"),
    ("too-many-pixels", "too many pixels*", ""),
    ("too-large", "too large for a photo*", ""),
    ("no-memory-to-decode", "not enough memory to decode this *", "substr(fault, 34)"),
    ("no-memory-to-detect", "not enough memory to look for faces*", ""),
    ("no-memory", "not enough memory*", ""),
    ("needs-memory", "needs about *", ""),
    ("takes-memory", "takes more than *", ""),
    ("takes-long", "takes longer than *", "substr(fault, 19)"),
    ("crashes", "crashes the decoder or the detector*", ""),
    ("killed", "a worker was killed*", ""),
    ("detector-failed", "the detector failed on it*", ""),
    ("failed", "facewatch failed on it*", ""),
    ("no-embedding", "* gave no usable embedding*", "substr(fault, 1, instr(fault, ' gave no usable') - 1)"),
    ("unsupported", "* is not supported", "substr(fault, 1, length(fault) - 17)"),
)
"""The codes of faults, how each was written until now, and what of it the cause names; the first that fits holds."""


@MIGRATIONS(name="0013_fault_codes")
def _fault_codes(db: Database) -> None:
    db.execute("ALTER TABLE files ADD COLUMN fault_code TEXT /* what kind of fault it is; NULL: there is none */ NULL")
    db.execute(
        "ALTER TABLE files ADD COLUMN fault_about TEXT /* what its cause names besides: a kind of file, an engine, a"
        " limit; NULL: there is no fault */ NULL"
    )
    codes = " ".join(f"WHEN fault GLOB '{glob}' THEN '{code}'" for code, glob, _ in _FAULT_CODES)
    abouts = " ".join(f"WHEN fault GLOB '{glob}' THEN {about or chr(39) * 2}" for _, glob, about in _FAULT_CODES)
    db.execute(
        f"UPDATE files SET fault_code = CASE {codes} ELSE 'other' END, fault_about = CASE {abouts} ELSE fault END"
        " WHERE fault IS NOT NULL"
    )


_ADDITIONS = (
    """
    CREATE TABLE presences (  -- a user said: this person is in the photo, though no face shows it
        person_id INTEGER NOT NULL REFERENCES people(id),
        photo_id INTEGER NOT NULL REFERENCES photos(id),
        at TEXT NOT NULL,
        PRIMARY KEY (person_id, photo_id)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX presences_photo ON presences(photo_id)",
    """
    CREATE TABLE drawn (  -- a user said: there is a face in this box, which no detector had found
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        photo_id INTEGER NOT NULL REFERENCES photos(id),
        x INTEGER NOT NULL,  -- the box as it was drawn, in pixels of the upright photo, (x, y) its left upper corner
        y INTEGER NOT NULL,
        w INTEGER NOT NULL,
        h INTEGER NOT NULL,
        face_id INTEGER UNIQUE REFERENCES faces(id),  -- the face in it; NULL: no engine has been given the box yet
        before_id INTEGER REFERENCES faces(id),  -- the face of an earlier version of the photo that has to be in it, if
            -- it was drawn there; NULL: it was drawn here
        at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX drawn_photo ON drawn(photo_id)",
    "DROP VIEW people_view",
    """
    CREATE VIEW people_view AS  -- one row a living person, with what is in the library now
    SELECT p.id, COALESCE(p.name, printf('Person %04d', p.id)) AS name, p.name IS NOT NULL AS is_named,
           p.is_hidden, COUNT(f.id) AS faces, COUNT(DISTINCT f.photo_id) +
           (SELECT COUNT(*) FROM presences r WHERE r.person_id = p.id
            AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = r.photo_id)
            AND NOT EXISTS (SELECT 1 FROM faces g JOIN assignments b ON b.face_id = g.id
                            WHERE g.photo_id = r.photo_id AND b.person_id = p.id)) AS photos, p.born, p.folder
    FROM people p
    LEFT JOIN assignments a ON a.person_id = p.id
    LEFT JOIN faces f ON f.id = a.face_id AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)
    WHERE p.merged_into IS NULL AND NOT p.is_gone
    GROUP BY p.id
    """,
    "DROP VIEW faces_view",
    """
    CREATE VIEW faces_view AS  -- one row a face of a photo in the library
    SELECT f.id, (SELECT MIN(files.display) FROM files WHERE files.photo_id = f.photo_id) AS path, f.photo_id,
           p.id AS person_id,
           CASE WHEN p.id IS NOT NULL THEN COALESCE(p.name, printf('Person %04d', p.id)) END AS name,
           f.x, f.y, f.w, f.h, f.turn, a.distance, a.source, a.rule, f.score, f.sharpness, f.brightness, f.pose,
           f.quality, f.tier, e.name AS engine, f.is_drawn
    FROM faces f
    LEFT JOIN engines e ON e.id = f.engine_id
    LEFT JOIN assignments a ON a.face_id = f.id
    LEFT JOIN people p ON p.id = a.person_id
    WHERE f.is_current AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)
    """,
)


@MIGRATIONS(name="0014_additions")
def _additions(db: Database) -> None:
    """Let users add what no engine has found: a face, by a box, and who is in a photo without a face."""
    for table in ("faces", "sightings"):
        db.execute(
            f"ALTER TABLE {table} ADD COLUMN is_drawn INTEGER /* 1: the engine was given the box that a user drew, and"
            " embedded what is in it; 0: its detector found the face */ NOT NULL DEFAULT 0"
        )
    for statement in _ADDITIONS:
        db.execute(statement)


_METADATA = (
    """
    CREATE TABLE metadata (  -- what files in and beside photos say about who is in them: as it was read, or written
        path BLOB NOT NULL,  -- of a sidecar, .picasa.ini, JSON or photo: absolute, as the bytes of the file system
        photo_id INTEGER NOT NULL REFERENCES photos(id),
        way TEXT NOT NULL CHECK (way IN ('read', 'written')),
        kind TEXT NOT NULL,  -- sidecar, embedded, picasa, takeout
        size INTEGER NOT NULL,  -- bytes; size, mtime_ns and inode tell whether the file changed since
        mtime_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        sha256 BLOB NOT NULL,  -- of the file as it was then
        said TEXT NOT NULL,  -- JSON: regions in fractions of the stored picture, keywords, dimensions
        doubt TEXT,  -- read: why it cannot be used; written: why nothing is written until the user says so; NULL: none
        at TEXT NOT NULL,
        PRIMARY KEY (way, photo_id, path)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX metadata_path ON metadata(path)",
    "ALTER TABLE photos ADD COLUMN orientation INTEGER /* how the stored picture is to be turned, 1 to 8, as EXIF says"
    " it; NULL: not looked for, because nobody has wanted to know */ NULL",
)


@MIGRATIONS(name="0015_metadata")
def _metadata(db: Database) -> None:
    """Keep what is read from metadata about faces, and what is written there."""
    for statement in _METADATA:
        db.execute(statement)


@MIGRATIONS(name="0016_names_from_files")
def _names_from_files(db: Database) -> None:
    """Keep what was taken over of what files say about people, so that the rest is done later and nothing twice."""
    db.execute(
        "ALTER TABLE metadata ADD COLUMN taken TEXT /* read: the `said` that was last compared with the catalog, and"
        " taken over as far as it was to be; NULL: none yet */ NULL"
    )


@MIGRATIONS(name="0017_references")
def _references(db: Database) -> None:
    """Let pictures show who somebody is that lie in no library."""
    db.execute(
        "ALTER TABLE photos ADD COLUMN is_reference INTEGER /* 1: given to show who somebody is: its faces that belong"
        " to somebody are compared with others, also while no file of a library holds it */ NOT NULL DEFAULT 0"
    )


_CHANGES = """
    CREATE TABLE changes (  -- so that whoever keeps what lists show reads only what is other now
        person_id INTEGER PRIMARY KEY,  -- 0: the library
        n INTEGER NOT NULL  -- how often it has changed which faces and photos are a person's, or which photos are there
    ) STRICT
"""
_COUNT_CHANGE = "INSERT INTO changes VALUES ({}, 1) ON CONFLICT DO UPDATE SET n = n + 1;"


def _counting(db: Database, table: str, column: str, watched: str, *, is_library: bool = False) -> None:
    """Count a change whenever a row comes, goes, or has other values in the watched columns."""
    is_other = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in watched.split(", "))
    events = (
        ("INSERT", ("NEW",), f"NEW.{column} IS NOT NULL"),
        ("DELETE", ("OLD",), f"OLD.{column} IS NOT NULL"),
        (f"UPDATE OF {watched}", ("OLD", "NEW"), is_other),
    )
    for event, sides, condition in events:
        counted = ["0"] if is_library else [f"{side}.{column}" for side in sides]
        db.execute(
            f"CREATE TRIGGER {table}_{event.split()[0].lower()} AFTER {event} ON {table} WHEN {condition} BEGIN "
            + " ".join(map(_COUNT_CHANGE.format, counted))
            + " END"
        )


@MIGRATIONS(name="0018_changes")
def _changes(db: Database) -> None:
    """Count what changes of each person, because comparing everybody's faces takes longer with each photo."""
    db.execute(_CHANGES)
    db.execute(
        "INSERT INTO changes SELECT person_id, 1 FROM assignments UNION SELECT person_id, 1 FROM presences"
        " UNION SELECT 0, 1"
    )
    _counting(db, "assignments", "person_id", "person_id, face_id, source")
    _counting(db, "presences", "person_id", "person_id, photo_id")
    _counting(db, "files", "photo_id", "photo_id", is_library=True)


@MIGRATIONS(name="0019_faces_of_nobody")
def _faces_of_nobody(db: Database) -> None:
    """Let the index say what lists of faces without a person ask of each: a row is long, and there may be thousands."""
    db.execute("DROP INDEX faces_photo")
    db.execute("CREATE INDEX faces_photo ON faces(photo_id, is_current, tier, quality)")


_LOOKS = """
    CREATE TABLE looks (  -- what people look like, worked out from their faces; whatever changes there deletes the row
        person_id INTEGER PRIMARY KEY REFERENCES people(id),
        way TEXT NOT NULL,  -- how it was worked out: the engine, and the rule with its numbers
        n_faces INTEGER NOT NULL,  -- that the person has
        centroids BLOB NOT NULL,  -- unit vectors, little-endian float32, one behind the other
        first TEXT NOT NULL  -- JSON: ids of the faces that stand for the person among strangers
    ) STRICT
"""
_OF_FACE = "SELECT person_id FROM assignments WHERE face_id = {}"
_ON_PHOTO = "SELECT a.person_id FROM faces f JOIN assignments a ON a.face_id = f.id WHERE f.photo_id = {}"


def _deleting_looks(db: Database, table: str, column: str, watched: str, whose: str) -> None:
    """Delete what the people of a row look like whenever it comes, goes, or has other values in the watched columns.

    Args:
        column: what the row says of whom it is about.
        whose: the people, in SQL with {} for that.
    """
    is_other = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in watched.split(", "))
    events = (
        ("INSERT", ("NEW",), "1"),
        ("DELETE", ("OLD",), "1"),
        (f"UPDATE OF {watched}", ("OLD", "NEW"), is_other),
    )
    for event, sides, condition in events:
        deleted = (f"DELETE FROM looks WHERE person_id IN ({whose.format(f'{side}.{column}')});" for side in sides)
        db.execute(
            f"CREATE TRIGGER {table}_looks_{event.split()[0].lower()} AFTER {event} ON {table} WHEN {condition} BEGIN "
            + " ".join(deleted)
            + " END"
        )


@MIGRATIONS(name="0020_looks")
def _looks(db: Database) -> None:
    """Keep what people look like: to explain one face, those of everybody took longest to read."""
    db.execute(_LOOKS)
    _deleting_looks(db, "assignments", "person_id", "person_id, face_id, source", "{}")
    _deleting_looks(db, "faces", "id", "photo_id, is_current, tier, quality", _OF_FACE)
    _deleting_looks(db, "embeddings", "face_id", "face_id, engine_id, vector", _OF_FACE)
    _deleting_looks(db, "marks", "face_id", "face_id", _OF_FACE)
    _deleting_looks(db, "photos", "id", "taken_at, is_reference", _ON_PHOTO)
    _deleting_looks(db, "files", "photo_id", "photo_id", _ON_PHOTO)


_TARGETS = (
    """
    CREATE TABLE targets (  -- databases that hold a copy of this catalog for readers; while there are any, what changes
        -- is noted in unpublished
        id INTEGER PRIMARY KEY,
        address TEXT NOT NULL,  -- without a password
        schema TEXT NOT NULL,  -- whose tables hold it
        round INTEGER NOT NULL,  -- the newest one: it began when somebody published
        since INTEGER NOT NULL,  -- changes of this round and later are not all there yet
        token TEXT NOT NULL,  -- what the copy calls its state; another: somebody else has published there
        next_token TEXT,  -- what it may call it already, when the end of a publish is not on record; NULL: nothing
        published_at TEXT,  -- when the copy was whole last; NULL: never
        UNIQUE (address, schema)
    ) STRICT
    """,
    """
    CREATE TABLE unpublished (  -- rows that have changed, and that copies may not have yet
        name TEXT NOT NULL,  -- of the table for readers
        row_id INTEGER NOT NULL,  -- id, face_id or photo_id of the row, whatever its table is fetched by
        round INTEGER NOT NULL,  -- the newest in which it changed
        PRIMARY KEY (name, row_id)
    ) STRICT, WITHOUT ROWID
    """,
)


def _noting(db: Database, table: str, column: str, watched: str, *, of: Sequence[str], is_whole: bool = True) -> None:
    """Note a row of the readers' tables whenever one of these comes, goes, or has other values in the watched columns;
    not `is_whole`: the last of these only."""
    is_other = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in watched.split(", "))
    events = (
        (f"UPDATE OF {watched}", ("OLD", "NEW"), f"({is_other})"),
        ("INSERT", ("NEW",), "TRUE"),
        ("DELETE", ("OLD",), "TRUE"),
    )
    for event, sides, condition in events if is_whole else events[:1]:
        # (a SELECT with an ON CONFLICT behind it needs a WHERE)
        notes = (
            f"INSERT INTO unpublished SELECT '{name}', {side}.{column}, MAX(round) FROM targets WHERE TRUE"
            " ON CONFLICT DO UPDATE SET round = excluded.round;"
            for name in of
            for side in sides
        )
        db.execute(
            f"CREATE TRIGGER {table}_unpublished_{of[0]}_{event.split()[0].lower()} AFTER {event} ON {table}"
            f" WHEN EXISTS (SELECT 1 FROM targets) AND {condition} BEGIN {' '.join(notes)} END"
        )


@MIGRATIONS(name="0021_targets")
def _targets(db: Database) -> None:
    """Note what readers elsewhere do not have yet, where somebody publishes the catalog."""
    for statement in _TARGETS:
        db.execute(statement)
    _noting(db, "roots", "id", "display", of=["roots"])
    _noting(db, "engines", "id", "name, n_dims, licence, is_in_use", of=["engines"])
    photo = "width, height, format, taken_at, is_reference, added_at"
    _noting(db, "photos", "id", f"sha256, {photo}", of=["photos"])
    _noting(db, "files", "id", "root_id, display, size, photo_id, fault, advice", of=["files"])
    person = "name, is_hidden, born, folder, cover_id, created_at, merged_into, is_gone"
    _noting(db, "people", "id", person, of=["people"])
    face = "photo_id, engine_id, x, y, w, h, turn, score, sharpness, brightness, pose, quality, tier, covered, is_drawn"
    _noting(db, "faces", "id", f"id, {face}, is_current", of=["faces"])
    _noting(db, "faces", "id", "is_current", of=["embeddings"], is_whole=False)
    _noting(db, "marks", "face_id", "face_id, mark", of=["faces", "embeddings"])
    placed = "person_id, source, distance, centroid_distance, runner_up_id, runner_up_distance, rule, at"
    _noting(db, "assignments", "face_id", f"face_id, {placed}", of=["assignments"])
    _noting(db, "presences", "photo_id", "person_id, photo_id, at", of=["presences"])
    _noting(db, "embeddings", "face_id", "face_id, engine_id, vector", of=["embeddings"])
