// A paste as the start of a new one: its content goes from the page that shows it to a page that creates, in a new tab.
//
// Invariant: it goes from window to window, in memory: no address, no storage and no server ever has it. Both pages are of one origin and
// have the same opener policy, so the browser lets them speak, each with a window that it knows: a channel would have a
// name, and whoever knew that could listen. Must never be given to, or taken from, another window or origin.

import { prefix } from "./page.js";

/** Calls `use`, once, with what another window sends. */
function once(other, use) {
  const listen = ({ source, origin, data }) => {
    if (source !== other || origin !== location.origin) return;
    removeEventListener("message", listen);
    use(data);
  };
  addEventListener("message", listen);
}

/** Opens the page that creates, and gives it a content when it asks for it; whether the browser opened it. */
export function give(content) {
  const tab = window.open(`${prefix}/`);
  if (tab) once(tab, () => tab.postMessage(content, location.origin));
  return Boolean(tab);
}

/** Calls `use` with a content that the page of a paste gives, where that has opened this one: nothing else can be an opener. */
export function take(use) {
  const { opener } = window;
  if (!opener) return;
  once(opener, (content) => { window.opener = null; use(content); });
  opener.postMessage("", location.origin);
}
