// The page of nothing at this address, in a tab that has taken the last read of what was there and was reloaded: the server
// gives the paste to this tab alone, and the page becomes that of the paste. Of an ask that has ended, it says that.
//
// Invariant: it is asked for with a lease of this tab, once. Must never take a read.

import { forget, leaseOf } from "./leases.js";
import { t } from "./words.js";
import { turn } from "./turn.js";

const id = location.pathname.split("/").pop();

async function resume({ lease }) {
  const headers = { Accept: "application/json", "X-Requested-With": "flaskpaste", "X-Lease": lease };
  const response = await fetch(location.pathname, { headers, cache: "no-store", redirect: "manual" });
  if (response.status === 404) return forget(id);
  turn(id, await response.json());
}

/** Says so where an ask has ended: its link tells that it was one. */
function explain() {
  const [heading, hint, link] = ["h1", "h1 + p", ".actions a"].map((part) => document.querySelector(`main ${part}`));
  [heading.textContent, hint.textContent, link.textContent] = [t("asked.over"), t("asked.ended"), t("ask.heading")];
  link.href += "ask";
}

const kept = leaseOf(id);
if (kept) resume(kept); else if (location.hash.startsWith("#ask:")) explain();
