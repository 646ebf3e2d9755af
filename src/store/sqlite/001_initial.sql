-- Version 1: the whole schema of the first release.

-- One row a paste; its content is apart, so that listing and purging never drag it along.
CREATE TABLE paste (
    key        INTEGER PRIMARY KEY AUTOINCREMENT, -- names the pieces in content; never used twice
    id         TEXT    NOT NULL UNIQUE, -- lower-case hex digits, the public name
    size       INTEGER NOT NULL, -- bytes of content
    mime_type  TEXT    NOT NULL, -- sanitised; what is sent may be tamer
    created_at INTEGER NOT NULL, -- unix seconds
    expires_at INTEGER NOT NULL, -- unix seconds; of a sliding paste, as of its creation or of the last purge that met it
    slides     INTEGER NOT NULL CHECK (slides IN (0, 1)), -- 1: a read moves expires_at on
    burn       INTEGER NOT NULL CHECK (burn IN (0, 1)), -- 1: the first read of the content deletes it
    password   TEXT, -- pbkdf2-sha256$iterations$salt$derived, or NULL
    owner      TEXT, -- SHA-1 fingerprint of the creator's certificate, or NULL
    token_hash BLOB    NOT NULL -- SHA-256 of the delete token
) STRICT;

-- Where reads have moved the expiry of sliding pastes, when later than paste.expires_at. Apart and narrow, because
-- every read of every paste ends here: a flush rewrites a few dense pages and leaves the expiry index alone.
CREATE TABLE seen (
    key        INTEGER PRIMARY KEY, -- paste.key
    expires_at INTEGER NOT NULL -- unix seconds
) STRICT;

-- The purge looks for the oldest expiry every second.
CREATE INDEX paste_by_expiry ON paste (expires_at);

-- Content in pieces of 64 KiB: reads and writes stream, and no query holds more than one.
CREATE TABLE content (
    key  INTEGER PRIMARY KEY, -- paste.key * 65536 + number of the piece, from 0
    data BLOB    NOT NULL
) STRICT;

-- Accepted submissions of the last window, for the duplicate throttle.
CREATE TABLE submission (
    hash BLOB    NOT NULL, -- SHA-256 of the content
    at   INTEGER NOT NULL -- unix seconds
) STRICT;
CREATE INDEX submission_by_hash ON submission (hash, at);

-- Proof-of-work tokens that bought a paste, until they would have expired anyway.
CREATE TABLE spent_token (
    token BLOB PRIMARY KEY -- expiry as 8 bytes, big-endian, then the nonce: the oldest sort first
) STRICT, WITHOUT ROWID;

-- What the server made for itself and keeps, such as the proof-of-work secret.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
