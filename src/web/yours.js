// "Your pastes": what this browser made, what became of each, and what its maker can still do: move its end, delete it.
//
// Invariant: the server is asked when the list is opened, with delete tokens, and for nothing that makes a read count. Must never
// show or keep what opens a paste.

import { $, answer, button, make, on, periods, prefix, say, show, twice } from "./page.js";
import { request } from "./api.js";
import * as asks from "./asks.js";
import { withMarks } from "./lines.js";
import { status, words } from "./receipts.js";
import * as tokens from "./tokens.js";
import { fromNow, moment, size, t } from "./words.js";

/** So many are listed, and so many more each time somebody wants more. */
const STEP = 20;
let listed = STEP;

/** A paste in the list, and the ask that it is, if it is one. */
function row(paste, ask) {
  const [item, about, name, hint, state, actions] = ["li", "span", "code", "span", "span", "div"].map((kind) => make(kind));
  const { id, created, size: bytes } = paste;
  [name.textContent, name.id] = [id, `paste-${id}`];
  const facts = [created && t("paste.fact.created", { when: moment(created) }), bytes && size(bytes)];
  [hint.textContent, hint.className] = [facts.filter(Boolean).join(" · "), "hint"];
  about.append(name, " ");
  if (ask) {
    const link = make("a");
    link.href = `${prefix}/${id}`;
    link.append(...ask.label ? withMarks(ask.label) : [t("page.open")]);
    about.append(link, " ");
  }
  about.append(hint, state);
  item.append(about, actions);
  look({ paste, ask, item, state, actions });
  return item;
}

/** Shows what the server says of a paste. */
async function look(row) {
  const { paste: { id, token, expires, created, size }, ask } = row;
  try {
    const known = await status({ id, token });
    const left = Math.max(0, known.expires_at - Date.now() / 1000);
    const said = ask && known.state === "unread" ? t("yours.answered") : words(known);
    if (known.ended_at) return set(row, said, [removal(row)]);
    // It may have moved, and the paste is to be in the list for as long as it is there.
    if (known.expires_at !== expires) tokens.keep(id, token, known.expires_at, { created, size });
    set(row, `${said} · ${t("yours.ends", { in: fromNow(left) })}`, controls(row, left));
  } catch (error) {
    if (error.status === 404) set(row, t("receipt.unknown"), [removal(row)]); else fail(row, error);
  }
}

/** Says something of a paste, and offers what can be done; the keyboard goes on in its row. */
function set({ paste, item, state, actions }, sentence, buttons) {
  const hadFocus = item.contains(document.activeElement);
  // What is said first comes of opening the list, what is said later of what somebody did here.
  if (state.textContent) state.role = "status";
  state.textContent = sentence;
  actions.replaceChildren(...buttons);
  for (const one of buttons) one.setAttribute("aria-describedby", `paste-${paste.id}`);
  if (hadFocus) buttons.find((one) => !one.hidden).focus();
}

const fail = (row, error) => set(row, error.message, [button(t("paste.again"), () => look(row))]);

const removal = (row) => button(t("yours.remove"), () => drop(row));

/** What can be done with what is there still: with so many seconds left, only a later end is offered. */
function controls(row, left) {
  const choice = make("select");
  choice.hidden = true;
  choice.ariaLabel = t("yours.extend");
  const later = periods(answer.limits.max_expiry).filter((seconds) => seconds > left + 60);
  choice.append(...later.map((seconds) => new Option(fromNow(seconds), seconds)));
  const extend = button(t("yours.extend"), () => {
    if (!choice.hidden) return send(row, "PATCH", { "X-Expiry": choice.value }, look);
    choice.hidden = false;
    choice.focus();
  });
  const remove = make("button", t("page.delete"));
  twice(remove, t("page.delete.sure"), () => send(row, "DELETE", {}, () => drop(row, t("page.deleted"))));
  return later.length > 0 ? [choice, extend, remove] : [remove];
}

/** Asks the server to change a paste, and goes on with `then`. Of what has ended meanwhile, the server says how. */
async function send(row, method, headers, then) {
  const { id, token } = row.paste;
  try {
    await request(method, `/${id}`, { headers: { "X-Delete-Token": token, ...headers } });
    then(row);
  } catch (error) {
    if (error.status === 404) look(row); else fail(row, error);
  }
}

/** Takes a paste off the list, and forgets it; of an ask, the key, too: there is no answer that it could open. */
function drop({ paste, ask, item }, sentence = "") {
  tokens.forget(paste.id);
  if (ask) asks.forget(paste.id);
  item.remove();
  say("own-said", sentence);
  $("own").firstElementChild.focus();
}

/** Offers the list, where there is something to list; fills it, where it is open. */
export async function offer() {
  const all = tokens.all();
  show("own", all.length > 0);
  say("own-said", "");
  if (!$("own").open) return;
  const asked = await asks.all();
  const rows = all.slice(0, listed).map((paste) => row(paste, asked.find(({ id }) => id === paste.id)));
  $("pastes").replaceChildren(...rows);
  show("more", all.length > listed);
}

/** Fills the list when it is opened. */
export function listen() {
  on("own", "toggle", offer);
  on("more", "click", async () => {
    listed += STEP;
    await offer();
    // The keyboard goes on at the first that was not there before.
    const item = $("pastes").children[listed - STEP];
    item.tabIndex = -1;
    item.focus();
  });
  offer();
}
