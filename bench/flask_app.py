"""The baseline: the same pastebin as one would write it in Python.

Flask on gunicorn and SQLite, kept small and given every fair advantage: WAL,
`synchronous=NORMAL` (flaskpaste pays for FULL), one open connection per worker, one
statement per request, no hashing, no throttles, and reads that never write.
"""

import os
import secrets
import sqlite3
import time

from flask import Flask, Response, abort, jsonify, request

EXPIRY = 432_000

app = Flask(__name__)

# gunicorn imports this module once per worker, which has a single request thread (not the
# importing one), so this connection belongs to the worker and needs no lock.
db = sqlite3.connect(os.environ["BENCH_DB"], timeout=30, isolation_level=None, check_same_thread=False)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=NORMAL")
db.execute(
    "CREATE TABLE IF NOT EXISTS pastes (id TEXT PRIMARY KEY, content BLOB NOT NULL,"
    " mime_type TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL)"
)


def describe(paste_id, mime_type, size, created_at, expires_at):
    """The JSON of a paste, for creates and lookups."""
    return jsonify(
        id=paste_id,
        url=f"/{paste_id}",
        raw=f"/{paste_id}/raw",
        mime_type=mime_type,
        size=size,
        created_at=created_at,
        expires_at=expires_at,
    )


@app.get("/health")
def health():
    db.execute("SELECT 1").fetchone()
    return jsonify(status="healthy")


@app.post("/")
def create():
    content = request.get_data()
    if not content:
        abort(400)
    paste_id = secrets.token_hex(6)
    mime_type = request.content_type or "text/plain; charset=utf-8"
    now = int(time.time())
    db.execute("INSERT INTO pastes VALUES (?, ?, ?, ?, ?)", (paste_id, content, mime_type, now, now + EXPIRY))
    return describe(paste_id, mime_type, len(content), now, now + EXPIRY), 201


@app.get("/<paste_id>")
def metadata(paste_id):
    row = db.execute(
        "SELECT mime_type, length(content), created_at, expires_at FROM pastes"
        " WHERE id = ? AND expires_at > ?",
        (paste_id, int(time.time())),
    ).fetchone()
    return describe(paste_id, *row) if row else abort(404)


@app.get("/<paste_id>/raw")
def raw(paste_id):
    row = db.execute(
        "SELECT content, mime_type FROM pastes WHERE id = ? AND expires_at > ?",
        (paste_id, int(time.time())),
    ).fetchone()
    return Response(row[0], content_type=row[1]) if row else abort(404)
