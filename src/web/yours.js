// "Your pastes": what this browser created, the receipt of each, and buttons to extend or delete it.
//
// Invariant: the server is contacted only when the list is opened, with delete tokens, and never in a way that counts as a
// read. Must never show or store a key.

import { $, answer, button, make, on, periods, prefix, say, show, twice } from "./page.js";
import { request } from "./api.js";
import * as asks from "./asks.js";
import { withMarks } from "./lines.js";
import { status, words } from "./receipts.js";
import * as tokens from "./tokens.js";
import { fromNow, moment, size, t } from "./words.js";

/** How many are listed, and how many "Show more" adds. */
const STEP = 20;
let listed = STEP;

/** A row of the list, and its ask, if it is one. */
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

/** Shows the receipt of a paste. */
async function look(row) {
  const { paste: { id, token, expires, created, size }, ask } = row;
  try {
    const known = await status({ id, token });
    const left = Math.max(0, known.expires_at - Date.now() / 1000);
    const said = ask && known.state === "unread" ? t("yours.answered") : words(known);
    if (known.ended_at) return set(row, said, [removal(row)]);
    // The expiry may have moved, and the paste must stay listed while it exists.
    if (known.expires_at !== expires) tokens.keep(id, token, known.expires_at, { created, size });
    set(row, `${said} · ${t("yours.ends", { in: fromNow(left) })}`, controls(row, left));
  } catch (error) {
    if (error.status === 404) set(row, t("receipt.unknown"), [removal(row)]); else fail(row, error);
  }
}

/** Shows a message for a paste and its buttons; the focus stays in its row. */
function set({ paste, item, state, actions }, sentence, buttons) {
  const hadFocus = item.contains(document.activeElement);
  // The first message comes from opening the list, later ones from the user's actions.
  if (state.textContent) state.role = "status";
  state.textContent = sentence;
  actions.replaceChildren(...buttons);
  for (const one of buttons) one.setAttribute("aria-describedby", `paste-${paste.id}`);
  if (hadFocus) buttons.find((one) => !one.hidden).focus();
}

const fail = (row, error) => set(row, error.message, [button(t("paste.again"), () => look(row))]);

const removal = (row) => button(t("yours.remove"), () => drop(row));

/** The buttons for an existing paste: with this many seconds left, only later expiries are offered. */
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

/** Asks the server to change a paste, then calls `then`. If it has ended meanwhile, the receipt says how. */
async function send(row, method, headers, then) {
  const { id, token } = row.paste;
  try {
    await request(method, `/${id}`, { headers: { "X-Delete-Token": token, ...headers } });
    then(row);
  } catch (error) {
    if (error.status === 404) look(row); else fail(row, error);
  }
}

/** Removes a paste from the list and forgets it, and for an ask its key: there is no answer left to open. */
function drop({ paste, ask, item }, sentence = "") {
  tokens.forget(paste.id);
  if (ask) asks.forget(paste.id);
  item.remove();
  say("own-said", sentence);
  $("own").firstElementChild.focus();
}

/** Shows the list if there is something to list; fills it if it is open. */
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
    // Focus the first new row.
    const item = $("pastes").children[listed - STEP];
    item.tabIndex = -1;
    item.focus();
  });
  offer();
}
