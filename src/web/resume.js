// The "not found" page. If this tab holds the lease of the paste's last read, as after a reload, it turns into the page of
// the paste. For an ask that has ended, it says so.
//
// Invariant: the paste is requested once, with this tab's lease. Must never take a read.

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

/** Says that an ask has ended; its link shows that it was one. */
function explain() {
  const [heading, hint, link] = ["h1", "h1 + p", ".actions a"].map((part) => document.querySelector(`main ${part}`));
  [heading.textContent, hint.textContent, link.textContent] = [t("asked.over"), t("asked.ended"), t("ask.heading")];
  link.href += "ask";
}

const kept = leaseOf(id);
if (kept) resume(kept); else if (location.hash.startsWith("#ask:")) explain();
