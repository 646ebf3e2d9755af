-- Version 3: gates, read limits, leases and receipts.

-- Set if reads are limited; burn says that the limit was one from the start.
ALTER TABLE paste ADD COLUMN reads_left INTEGER; -- reads that are still to be given out, or NULL: no limit
ALTER TABLE paste ADD COLUMN read_proof BLOB; -- SHA-256 of the proof that the content is given for, or NULL: no gate
ALTER TABLE paste ADD COLUMN password_proof BLOB; -- likewise of the second proof, or NULL
-- 1: token_hash is SHA-256(SHA-256(delete token) || id), which identifies its receipt. 0: it is SHA-256(delete token), of a
-- paste created before version 3; that leaves no receipt, because its id is not known when it ends.
ALTER TABLE paste ADD COLUMN bound INTEGER NOT NULL DEFAULT 0 CHECK (bound IN (0, 1));
UPDATE paste SET reads_left = 1 WHERE burn = 1;

-- The effects of reads; for pastes without a limit, as of the last flush.
ALTER TABLE seen ADD COLUMN reads INTEGER NOT NULL DEFAULT 0;
ALTER TABLE seen ADD COLUMN first_read_at INTEGER; -- unix seconds
ALTER TABLE seen ADD COLUMN last_read_at INTEGER; -- unix seconds

-- Unconfirmed reads.
CREATE TABLE lease (
    hash       BLOB    PRIMARY KEY, -- SHA-256 of the lease
    key        INTEGER NOT NULL, -- paste.key
    expires_at INTEGER NOT NULL -- unix seconds
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_by_key ON lease (key);
CREATE INDEX lease_by_expiry ON lease (expires_at);

-- How pastes ended, for the holder of the delete token; does not reveal which pastes, or their content.
CREATE TABLE receipt (
    token         BLOB    NOT NULL UNIQUE, -- SHA-256(SHA-256(delete token) || id)
    state         INTEGER NOT NULL, -- 0 read, 1 expired, 2 deleted, 3 removed
    reads         INTEGER NOT NULL,
    first_read_at INTEGER, -- unix seconds
    last_read_at  INTEGER, -- unix seconds
    expires_at    INTEGER NOT NULL, -- unix seconds, when it would have gone
    ended_at      INTEGER NOT NULL -- unix seconds
) STRICT;
