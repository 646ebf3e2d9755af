-- Version 4: tokens, operator actions, and replaced contents.

ALTER TABLE paste ADD COLUMN content INTEGER; -- whose pieces are the content, once it was replaced: a key like paste.key; NULL: key
ALTER TABLE paste ADD COLUMN sealed_id BLOB; -- the id, sealed under the token that made the paste: nonce, AES-256-GCM, tag; or NULL

-- For an owner's list. Pastes without an owner are not indexed and cost nothing.
CREATE INDEX paste_by_owner ON paste (owner, key) WHERE owner IS NOT NULL;

-- Replaced contents, for readers still in progress.
CREATE TABLE replaced (
    content INTEGER PRIMARY KEY, -- as paste.content
    bytes   INTEGER NOT NULL, -- of the content
    at      INTEGER NOT NULL -- unix seconds
) STRICT;

-- Tokens issued by operators, who choose the names.
CREATE TABLE token (
    hash       BLOB    PRIMARY KEY, -- SHA-256 of the token
    name       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL, -- unix seconds
    expires_at INTEGER -- unix seconds, or NULL
) STRICT, WITHOUT ROWID;

-- Blocked contents.
CREATE TABLE blocked (
    mark BLOB PRIMARY KEY -- keyed hash of the content
) STRICT, WITHOUT ROWID;

-- The operators' log. Nothing is deleted from it.
CREATE TABLE action (
    at   INTEGER NOT NULL, -- unix seconds
    who  TEXT    NOT NULL, -- a user of the machine
    what TEXT    NOT NULL
) STRICT;
