// What this browser keeps of the pastes and asks it made: delete tokens, and what a list of them says, until they expire, and
// as long as their receipts afterwards.
//
// Invariant: never a key, a password or a name. A browser that keeps nothing costs the delete button, the list and the
// receipts, no more.

const PLACE = "flaskpaste-delete-tokens";

function kept() {
  try {
    const now = Date.now() / 1000;
    const all = JSON.parse(localStorage.getItem(PLACE) ?? "{}");
    // A read may have moved the expiry of a paste since, and its receipt stays for a month.
    return Object.fromEntries(Object.entries(all).filter(([, { expires }]) => expires + 30 * 86400 > now));
  } catch {
    return {};
  }
}

function write(all) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(all));
  } catch {
    // Storage is full or forbidden: see above.
  }
}

/** Keeps the token of a paste, which was just made if nothing else is said, and of what it is, `{ created, size }`, what is known. */
export function keep(id, token, expires, facts) {
  const { [id]: _, ...others } = kept();
  write({ ...others, [id]: { token, expires, created: Math.floor(Date.now() / 1000), ...facts } });
}

/** The token of a paste, if this browser created it. */
export function tokenOf(id) {
  return kept()[id]?.token;
}

/** All that this browser created, the newest first: `{ id, token, expires, created, size }` each. */
export function all() {
  // Those of before there was a time of creation are in the order in which they came.
  const pastes = Object.entries(kept()).map(([id, paste]) => ({ id, ...paste })).reverse();
  return pastes.sort((a, b) => (b.created ?? 0) - (a.created ?? 0));
}

/** Forgets a paste of which nothing is to be had any more. */
export function forget(id) {
  const all = kept();
  delete all[id];
  write(all);
}
