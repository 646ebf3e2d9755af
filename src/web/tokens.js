// The delete tokens of what this browser has created, kept until the paste expires, and as long as its receipt afterwards.
//
// Invariant: tokens alone, never a key or a password. A browser that keeps nothing costs the delete button and the
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

/** Keeps the token of a paste. */
export function keep(id, token, expires) {
  const { [id]: _, ...others } = kept();
  write({ ...others, [id]: { token, expires } });
}

/** The token of a paste, if this browser created it. */
export function tokenOf(id) {
  return kept()[id]?.token;
}

/** The last pastes that this browser created, the newest first: `{ id, token }` each. */
export function recent(most) {
  return Object.entries(kept()).slice(-most).reverse().map(([id, { token }]) => ({ id, token }));
}

/** Forgets a paste of which nothing is to be had any more. */
export function forget(id) {
  const all = kept();
  delete all[id];
  write(all);
}
