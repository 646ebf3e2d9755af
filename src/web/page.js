// Helpers for all pages: the server's answer, elements, copying, and confirmation before something is lost.
//
// Invariant: content reaches the page as text nodes and properties, never as markup.

import { duration, moment, t } from "./words.js";

export const answer = JSON.parse(document.body.dataset.answer);
export const prefix = document.body.dataset.prefix;

/**
 * Whether the URL of a new paste is on this server or at the address its operator configured: the key follows the link.
 */
export const isHere = ({ id, url }) => /^[0-9a-f]{4,64}$/.test(id)
  && [prefix, document.body.dataset.url].some((base) => url === `${base}/${id}`);

export const $ = (id) => document.getElementById(id);

export const on = (id, event, action) => $(id).addEventListener(event, action);

export const show = (id, visible) => { $(id).hidden = !visible; };

/** Puts a message into an element, which is hidden if it is empty. */
export function say(id, sentence) {
  $(id).textContent = sentence;
  show(id, sentence);
}

/** Shows the current status. */
export const tell = (sentence) => { $("state").textContent = sentence; };

/** Creates an element with text. */
export function make(kind, text = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

/** Creates a button; `name` is its accessible name where the label alone is not enough. */
export function button(word, action, name) {
  const made = make("button", word);
  made.type = "button";
  if (name) made.ariaLabel = name;
  made.addEventListener("click", action);
  return made;
}

/**
 * Copies a text; returns whether that worked. Uses execCommand: the clipboard API is denied to this server's pages and
 * missing without https. The command needs a selection; the listener decides what is copied.
 */
export function copy(text) {
  const focused = document.activeElement;
  const area = make("textarea");
  area.value = "-";
  area.className = "offscreen";
  document.body.append(area);
  area.select();
  const put = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  };
  document.addEventListener("copy", put);
  const copied = document.execCommand("copy");
  document.removeEventListener("copy", put);
  area.remove();
  focused?.focus();
  return copied;
}

/** Makes a button ask for confirmation before an irreversible action, if `isNeeded`. */
export function twice(button, question, action, isNeeded = () => true) {
  const name = button.textContent;
  let asked = false;
  const reset = () => { asked = false; button.textContent = name; };
  button.addEventListener("blur", reset);
  button.addEventListener("click", () => {
    if (asked || !isNeeded()) { reset(); action(); } else { asked = true; button.textContent = question; }
  });
}

/** Marks a button as inactive without `disabled`, which would lose the keyboard focus. */
export const rest = (button, rests) => { button.ariaDisabled = rests ? "true" : null; };

/** Makes the browser ask before leaving this page while `isAtRisk`. */
export function guard(isAtRisk) {
  addEventListener("beforeunload", (event) => {
    if (!isAtRisk()) return;
    event.preventDefault();
    // For browsers before 2024.
    event.returnValue = "?";
  });
}

/** Makes a button reveal and hide a password field; returns the setter. */
export function reveals(button, field) {
  const set = (visible) => {
    field.type = visible ? "text" : "password";
    button.setAttribute("aria-pressed", visible);
  };
  button.addEventListener("click", () => set(field.type === "password"));
  return set;
}

/** The https address of this page: the operator's if configured, else the current one. */
export function secureAddress() {
  const own = new URL(document.body.dataset.url);
  const here = new URL(location.href);
  if (own.protocol === "https:") [here.hostname, here.port] = [own.hostname, own.port];
  here.protocol = "https:";
  return here.href;
}

/**
 * When a paste expires, in words that stay true: `period` is its lifetime in seconds without a read, if reads extend it. For
 * one that burns, visiting its page does.
 */
export function ending({ sliding, expires_at: expires, burn_after_read: burns }, period) {
  if (!sliding) return t("page.expires.on", { when: moment(expires) });
  return t(burns ? "page.expires.opened" : "page.expires.read", { time: duration(period) });
}

/** The choices for an expiry in seconds: common periods and the maximum. No two read the same. */
export function periods(most) {
  const isShorter = (seconds) => seconds < most && duration(seconds) !== duration(most);
  return [...[600, 3600, 86400, 604800, 2592000].filter(isShorter), most];
}

/** Fills a select with expiries within the server's limits; `unread` is the word key for one that reads extend. */
export function offerExpiries(select, limits, unread = "create.after.read") {
  const choice = (seconds) => new Option(t("create.after", { time: duration(seconds) }), seconds);
  const sliding = new Option(t(unread, { time: duration(limits.expiry) }), "");
  select.append(sliding, ...periods(limits.max_expiry).map(choice));
}

/** Shows progress; nothing until there is some. */
export function showProgress(share) {
  const isPart = share > 0 && share < 1;
  show("progress", isPart);
  $("bar").value = isPart ? share : 0;
}

/** Removes the message that the script has not loaded. Called last, so that it stays if the script fails. */
export function isStarted() {
  $("unstarted").remove();
}
