// The pastes and asks this browser created: delete tokens and data for the list, until they expire and their receipts end.
//
// Invariant: never stores a key, a password or a name. Without storage only the delete button, the list and the receipts are
// lost.

const PLACE = "flaskpaste-delete-tokens";

function kept() {
  try {
    const now = Date.now() / 1000;
    const all = JSON.parse(localStorage.getItem(PLACE) ?? "{}");
    // A read may have extended the expiry, and the receipt stays for a month.
    return Object.fromEntries(Object.entries(all).filter(([, { expires }]) => expires + 30 * 86400 > now));
  } catch {
    return {};
  }
}

function write(all) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(all));
  } catch {
    // Storage is full or blocked: see above.
  }
}

/** Stores the token of a paste, with what is known of `{ created, size }`; by default it was created just now. */
export function keep(id, token, expires, facts) {
  const { [id]: _, ...others } = kept();
  write({ ...others, [id]: { token, expires, created: Math.floor(Date.now() / 1000), ...facts } });
}

/** The token of a paste if this browser created it. */
export function tokenOf(id) {
  return kept()[id]?.token;
}

/** Everything this browser created, newest first: `{ id, token, expires, created, size }` each. */
export function all() {
  // Old entries without a creation time keep their order.
  const pastes = Object.entries(kept()).map(([id, paste]) => ({ id, ...paste })).reverse();
  return pastes.sort((a, b) => (b.created ?? 0) - (a.created ?? 0));
}

/** Forgets a paste that no longer has a receipt. */
export function forget(id) {
  const all = kept();
  delete all[id];
  write(all);
}
