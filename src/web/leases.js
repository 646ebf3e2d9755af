// The reads that this tab has taken and not yet confirmed, kept so that a page that is reloaded goes on with its own.
//
// Invariant: leases alone, never a key or a password, and none after its end. A browser that keeps nothing costs this, no more.

const place = (id) => `flaskpaste-lease-${id}`;

/** Keeps the lease of a paste: `{ lease, expires_at, reads_left }`. */
export function keep(id, { lease, expires_at, reads_left }) {
  try {
    sessionStorage.setItem(place(id), JSON.stringify({ lease, expires_at, reads_left }));
  } catch {
    // Storage is full or forbidden: see above.
  }
}

/** The lease of a paste, if this tab has one that has not ended; else null. */
export function leaseOf(id) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(place(id)));
    return kept?.expires_at > Date.now() / 1000 ? kept : null;
  } catch {
    return null;
  }
}

/** Forgets the lease of a paste, which is confirmed or has ended. */
export function forget(id) {
  try {
    sessionStorage.removeItem(place(id));
  } catch {
    // Nothing is kept, then.
  }
}
