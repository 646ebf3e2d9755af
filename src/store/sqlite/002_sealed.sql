-- Version 2: nothing is readable at rest without the link. store/sqlite/upgrade.rs encrypts the rows of version 1 and
-- writes them into a new file; here the tables are empty.

DROP TABLE paste;
DROP TABLE content;
DROP INDEX submission_by_hash;
DROP TABLE submission;

-- One row per paste; its content is separate, so that listing and purging never read it.
CREATE TABLE paste (
    key        INTEGER PRIMARY KEY AUTOINCREMENT, -- names the pieces in content; never used twice
    handle     INTEGER NOT NULL UNIQUE, -- the first 8 bytes of name, as a signed number: a dense index
    name       BLOB    NOT NULL, -- HMAC-SHA256(pepper, id)
    size       INTEGER NOT NULL, -- bytes of content
    created_at INTEGER NOT NULL, -- unix seconds
    expires_at INTEGER NOT NULL, -- unix seconds; of a sliding paste, as of its creation or of the last purge that met it
    slides     INTEGER NOT NULL CHECK (slides IN (0, 1)), -- 1: a read moves expires_at on
    burn       INTEGER NOT NULL CHECK (burn IN (0, 1)), -- 1: the first read of the content deletes it
    password   TEXT, -- pbkdf2-sha256$iterations$salt$derived, or NULL
    owner      BLOB, -- keyed hash of the creator's certificate, or NULL
    token_hash BLOB    NOT NULL, -- SHA-256 of the delete token
    sealed_key BLOB    NOT NULL, -- key of content and details: nonce, AES-256-GCM under HKDF(pepper, id), tag
    details    BLOB    NOT NULL  -- type of the content, sealed under its key
) STRICT;

-- The purge looks up the oldest expiry every second.
CREATE INDEX paste_by_expiry ON paste (expires_at);

-- Content in sealed pieces of 64 KiB: reads and writes stream, and no query holds more than one.
CREATE TABLE content (
    key  INTEGER PRIMARY KEY, -- paste.key * 65536 + number of the piece, from 0
    data BLOB    NOT NULL -- AES-256-GCM under the content's key, tag behind it
) STRICT;

-- Accepted submissions of the last window, for the duplicate throttle.
CREATE TABLE submission (
    hash INTEGER NOT NULL, -- first 8 bytes of a keyed hash of the content
    at   INTEGER NOT NULL -- unix seconds
) STRICT;
CREATE INDEX submission_by_hash ON submission (hash, at);
