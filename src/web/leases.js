// The unconfirmed leases of this tab, stored so that a reloaded page can continue its read.
//
// Invariant: stores only leases, never a key or a password, and none after it ends. Without storage only this is lost.

const place = (id) => `flaskpaste-lease-${id}`;

/** Stores the lease of a paste: `{ lease, expires_at, reads_left }`. */
export function keep(id, { lease, expires_at, reads_left }) {
  try {
    sessionStorage.setItem(place(id), JSON.stringify({ lease, expires_at, reads_left }));
  } catch {
    // Storage is full or blocked: see above.
  }
}

/** This tab's lease of a paste if it has not ended, else null. */
export function leaseOf(id) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(place(id)));
    return kept?.expires_at > Date.now() / 1000 ? kept : null;
  } catch {
    return null;
  }
}

/** Forgets the lease of a paste, once confirmed or ended. */
export function forget(id) {
  try {
    sessionStorage.removeItem(place(id));
  } catch {
    // Nothing is stored then.
  }
}
