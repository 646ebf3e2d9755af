-- Version 1 on PostgreSQL: everything version 4 of the embedded engine stores, so that servers share nothing else.

-- Keys of pastes and contents, from one sequence, never reused.
CREATE SEQUENCE paste_key;

-- One row per paste. Its first piece is in the TOAST table, or in the row if small; the others are in piece.
CREATE TABLE paste (
    key            bigint  PRIMARY KEY,
    handle         bigint  NOT NULL, -- the first 8 bytes of name, as a signed number: a dense index
    name           bytea   NOT NULL, -- HMAC-SHA256(pepper, id)
    size           bigint  NOT NULL, -- bytes of content
    created_at     bigint  NOT NULL, -- unix seconds
    expires_at     bigint  NOT NULL, -- unix seconds; of a sliding paste, as of its creation or of the last purge that met it
    slides         boolean NOT NULL, -- a read moves expires_at on
    burn           boolean NOT NULL, -- the first read of the content was meant to be the last
    reads_left     bigint, -- reads that are still to be given out, or NULL: no limit
    password       text, -- pbkdf2-sha256$iterations$salt$derived, or NULL
    read_proof     bytea, -- SHA-256 of the proof that the content is given for, or NULL: no gate
    password_proof bytea, -- likewise of the second proof, or NULL
    owner          bytea, -- keyed hash of the creator's certificate or token, or NULL
    token_hash     bytea   NOT NULL, -- by which the delete token is recognised
    bound          boolean NOT NULL, -- token_hash is SHA-256(SHA-256(delete token) || id), and names a receipt
    sealed_key     bytea   NOT NULL, -- key of content and details: nonce, AES-256-GCM under HKDF(pepper, id), tag
    details        bytea   NOT NULL, -- type and name of the content, sealed under its key
    sealed_id      bytea, -- the id, sealed under the token that made the paste; or NULL
    content        bigint  NOT NULL, -- whose pieces are the content: key, until it is replaced
    first_piece    bytea, -- AES-256-GCM under the content's key, tag behind it; NULL: in piece, like the others
    CONSTRAINT paste_handle UNIQUE (handle)
);
-- Ciphertext does not compress.
ALTER TABLE paste ALTER COLUMN first_piece SET STORAGE EXTERNAL;
-- The purge looks up the oldest expiry every second, and the quota sums the sizes every few seconds.
CREATE INDEX paste_by_expiry ON paste (expires_at) INCLUDE (size);
-- For an owner's list. Pastes without an owner are not indexed and cost nothing.
CREATE INDEX paste_by_owner ON paste (owner, key) WHERE owner IS NOT NULL;

-- Content in sealed pieces of 64 KiB.
CREATE TABLE piece (
    content bigint NOT NULL, -- as paste.content
    number  bigint NOT NULL, -- from 0; from 1 where the first is in paste
    data    bytea  NOT NULL, -- AES-256-GCM under the content's key, tag behind it
    PRIMARY KEY (content, number)
);
ALTER TABLE piece ALTER COLUMN data SET STORAGE EXTERNAL;

-- The effects of reads: the extended expiry of sliding pastes, and the counts. Separate and narrow, because every read
-- updates it, and with free space on each page, so that updates stay on the page.
CREATE TABLE seen (
    key           bigint PRIMARY KEY, -- paste.key
    expires_at    bigint NOT NULL, -- unix seconds
    reads         bigint NOT NULL,
    first_read_at bigint, -- unix seconds
    last_read_at  bigint -- unix seconds
) WITH (fillfactor = 70);

-- Unconfirmed reads.
CREATE TABLE lease (
    hash       bytea  PRIMARY KEY, -- SHA-256 of the lease
    key        bigint NOT NULL, -- paste.key
    expires_at bigint NOT NULL -- unix seconds
);
CREATE INDEX lease_by_key ON lease (key);
CREATE INDEX lease_by_expiry ON lease (expires_at);

-- How pastes ended, for the holder of the delete token; reveals nothing about their content.
CREATE TABLE receipt (
    token         bytea  PRIMARY KEY, -- SHA-256(SHA-256(delete token) || id)
    key           bigint, -- paste.key, for reads that other servers have not counted yet; NULL after two minutes
    state         bigint NOT NULL, -- 0 read, 1 expired, 2 deleted, 3 removed
    reads         bigint NOT NULL,
    first_read_at bigint, -- unix seconds
    last_read_at  bigint, -- unix seconds
    expires_at    bigint NOT NULL, -- unix seconds, when it would have expired
    ended_at      bigint NOT NULL -- unix seconds
);
CREATE INDEX receipt_by_key ON receipt (key) WHERE key IS NOT NULL;
CREATE INDEX receipt_by_end ON receipt (ended_at);

-- Replaced contents, for readers still in progress.
CREATE TABLE replaced (
    content bigint PRIMARY KEY, -- as paste.content
    bytes   bigint NOT NULL, -- of the content
    at      bigint NOT NULL -- unix seconds
);

-- Accepted submissions of the last window, for the duplicate throttle.
CREATE TABLE submission (
    hash bigint   PRIMARY KEY, -- first 8 bytes of a keyed hash of the content
    at   bigint[] NOT NULL, -- unix seconds, as many as are accepted in a window
    last bigint   NOT NULL -- the last of them
);
CREATE INDEX submission_by_last ON submission (last);

-- Used proof-of-work tokens, until they expire.
CREATE TABLE spent_token (
    token bytea CONSTRAINT spent_token_once PRIMARY KEY -- expiry as 8 bytes, big-endian, then the nonce: the oldest sort first
);

-- Password guesses of the last minutes. Unlogged: lost in a crash of the database, but without waiting for the disk.
CREATE UNLOGGED TABLE try_by_client (
    key         bigint NOT NULL, -- paste.key
    client      bigint NOT NULL, -- a keyed hash of the client's network and the key
    tries       bigint NOT NULL,
    next_try_at bigint NOT NULL, -- unix seconds
    PRIMARY KEY (key, client)
);
CREATE INDEX try_by_client_by_time ON try_by_client (next_try_at);
CREATE UNLOGGED TABLE try_by_paste (
    key   bigint PRIMARY KEY, -- paste.key
    since bigint NOT NULL, -- unix seconds, start of the window
    tries bigint NOT NULL
);
CREATE INDEX try_by_paste_by_time ON try_by_paste (since);

-- Tokens issued by operators, who choose the names.
CREATE TABLE token (
    hash       bytea  PRIMARY KEY, -- SHA-256 of the token
    name       text   NOT NULL UNIQUE,
    created_at bigint NOT NULL, -- unix seconds
    expires_at bigint -- unix seconds, or NULL
);

-- Blocked contents.
CREATE TABLE blocked (
    mark bytea PRIMARY KEY -- keyed hash of the content
);

-- The operators' log. Nothing is deleted from it.
CREATE TABLE action (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     bigint NOT NULL, -- unix seconds
    who    text   NOT NULL, -- a user of the machine
    what   text   NOT NULL
);

-- Values generated by the servers, such as the proof-of-work secret.
CREATE TABLE setting (
    name  text  PRIMARY KEY,
    value bytea NOT NULL
);

-- Written by a server to confirm that its earlier commits are on the standby, too.
CREATE TABLE confirmation (
    place bigint PRIMARY KEY,
    at    bigint NOT NULL -- unix seconds
);
