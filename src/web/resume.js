// The page of nothing at this address, in a tab that has taken the last read of what was there and was reloaded: the server
// gives the paste to this tab alone, and the page becomes that of the paste.
//
// Invariant: it is asked for with a lease of this tab, once. Must never take a read, nor fill the page otherwise than from the
// template that came with it.

import { forget, leaseOf } from "./leases.js";

const id = location.pathname.split("/").pop();

async function resume({ lease }) {
  const headers = { Accept: "application/json", "X-Requested-With": "flaskpaste", "X-Lease": lease };
  const response = await fetch(location.pathname, { headers, cache: "no-store", redirect: "manual" });
  if (response.status === 404) return forget(id);
  const { body } = document;
  [body.dataset.answer, body.dataset.view] = [JSON.stringify(await response.json()), "paste"];
  // Its script begins when it is in the page.
  const page = document.importNode(document.getElementById("leased").content, true);
  page.querySelector("#title code").textContent = id;
  document.title = `${page.querySelector("#title").textContent} · flaskpaste`;
  document.querySelector("main").replaceChildren(page);
}

const kept = leaseOf(id);
if (kept) resume(kept);
