// Starts a new paste from an existing one: passes its content from the paste's page to a create page in a new tab.
//
// Invariant: the content goes from window to window in memory, never through an address, storage or a server. Both pages
// have the same origin and opener policy, so they can post messages to each other's window; a BroadcastChannel could be
// overheard by anyone who knows its name. Must never send to, or accept from, another window or origin.

import { prefix } from "./page.js";

/** Calls `use` once with the message of another window. */
function once(other, use) {
  const listen = ({ source, origin, data }) => {
    if (source !== other || origin !== location.origin) return;
    removeEventListener("message", listen);
    use(data);
  };
  addEventListener("message", listen);
}

/** Opens the create page and sends it the content on request; returns whether the browser opened it. */
export function give(content) {
  const tab = window.open(`${prefix}/`);
  if (tab) once(tab, () => tab.postMessage(content, location.origin));
  return Boolean(tab);
}

/** Calls `use` with the content from the paste's page that opened this one; nothing else can be the opener. */
export function take(use) {
  const { opener } = window;
  if (!opener) return;
  once(opener, (content) => { window.opener = null; use(content); });
  opener.postMessage("", location.origin);
}
