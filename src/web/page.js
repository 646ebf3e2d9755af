// What both pages are made with: the server's answer, elements, copying, and what is asked before something goes that
// cannot be had again.
//
// Invariant: content reaches the page as text nodes and properties, never as markup.

import { duration, moment, t } from "./words.js";

export const answer = JSON.parse(document.body.dataset.answer);
export const prefix = document.body.dataset.prefix;

/**
 * Whether what a server says it has made is at an address of this server, or of its operator's: the key goes where the link
 * leads.
 */
export const isHere = ({ id, url }) => /^[0-9a-f]{4,64}$/.test(id)
  && [prefix, document.body.dataset.url].some((base) => url === `${base}/${id}`);

export const $ = (id) => document.getElementById(id);

export const on = (id, event, action) => $(id).addEventListener(event, action);

export const show = (id, visible) => { $(id).hidden = !visible; };

/** Writes a sentence into an element, which is hidden while there is none. */
export function say(id, sentence) {
  $(id).textContent = sentence;
  show(id, sentence);
}

/** Says what is going on. */
export const tell = (sentence) => { $("state").textContent = sentence; };

/** An element with a text in it. */
export function make(kind, text = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

/** A button; `name` is what it is called to those who do not see what it stands beside. */
export function button(word, action, name) {
  const made = make("button", word);
  made.type = "button";
  if (name) made.ariaLabel = name;
  made.addEventListener("click", action);
  return made;
}

/**
 * Copies a text; whether that worked. By the old command: the clipboard API is denied to every page of this server, and
 * is not there at all without https. The command wants something selected; what it copies is up to the listener.
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

/** Makes a button ask once more before it does what cannot be taken back, where `isNeeded` says that it is that. */
export function twice(button, question, action, isNeeded = () => true) {
  const name = button.textContent;
  let asked = false;
  const reset = () => { asked = false; button.textContent = name; };
  button.addEventListener("blur", reset);
  button.addEventListener("click", () => {
    if (asked || !isNeeded()) { reset(); action(); } else { asked = true; button.textContent = question; }
  });
}

/** Shows that a button does nothing now. It keeps the keyboard's focus, which one that is disabled would lose. */
export const rest = (button, rests) => { button.ariaDisabled = rests ? "true" : null; };

/** Lets the browser ask before this page is left while `isAtRisk` says that something would be lost with it. */
export function guard(isAtRisk) {
  addEventListener("beforeunload", (event) => {
    if (!isAtRisk()) return;
    event.preventDefault();
    // What browsers of before 2024 look at.
    event.returnValue = "?";
  });
}

/** Makes a button show what is written in a field for passwords, and hide it again; what sets it. */
export function reveals(button, field) {
  const set = (visible) => {
    field.type = visible ? "text" : "password";
    button.setAttribute("aria-pressed", visible);
  };
  button.addEventListener("click", () => set(field.type === "password"));
  return set;
}

/** The address of this page over https: the operator's, where one is set, else that of now. */
export function secureAddress() {
  const own = new URL(document.body.dataset.url);
  const here = new URL(location.href);
  if (own.protocol === "https:") [here.hostname, here.port] = [own.hostname, own.port];
  here.protocol = "https:";
  return here.href;
}

/**
 * When a paste goes, as words that stay true: `period` is the seconds it lives unread, where a read moves its end. Of what
 * burns, that is a look at its page.
 */
export function ending({ sliding, expires_at: expires, burn_after_read: burns }, period) {
  if (!sliding) return t("page.expires.on", { when: moment(expires) });
  return t(burns ? "page.expires.opened" : "page.expires.read", { time: duration(period) });
}

/** How long something may be kept, in seconds: common periods, and the longest there is. No two are the same in words. */
export function periods(most) {
  const isShorter = (seconds) => seconds < most && duration(seconds) !== duration(most);
  return [...[600, 3600, 86400, 604800, 2592000].filter(isShorter), most];
}

/** Offers when something is to end, within the server's limits; `unread` has the words for the end that reads move. */
export function offerExpiries(select, limits, unread = "create.after.read") {
  const choice = (seconds) => new Option(t("create.after", { time: duration(seconds) }), seconds);
  const sliding = new Option(t(unread, { time: duration(limits.expiry) }), "");
  select.append(sliding, ...periods(limits.max_expiry).map(choice));
}

/** Shows how much of something is done; nothing, while there is nothing to see of it yet. */
export function showProgress(share) {
  const isPart = share > 0 && share < 1;
  show("progress", isPart);
  $("bar").value = isPart ? share : 0;
}

/** Takes the words away that say that the script is missing. At the end of it: what stops before has not run. */
export function isStarted() {
  $("unstarted").remove();
}
