// The page of an ask: a form for the answer, or, in the browser that asked, the link and then the answer.
//
// Invariant: an answer leaves this browser only sealed for the asker and after the button is pressed; text is not discarded
// without confirmation. The answer is read as a paste with one read, by that page.

import {
  $, answer, guard, isStarted, prefix, say, secureAddress, show, showProgress, tell, twice,
} from "./page.js";
import { request, upload } from "./api.js";
import * as asks from "./asks.js";
import * as choice from "./choice.js";
import { cleaned } from "./content.js";
import * as keys from "./keys.js";
import { withMarks } from "./lines.js";
import * as links from "./link.js";
import * as sending from "./sending.js";
import * as tokens from "./tokens.js";
import { turn } from "./turn.js";
import { fromNow, moment, size, t } from "./words.js";

const { id } = answer;
/** The first poll comes after this many milliseconds, later ones less and less often. */
const [FIRST, LAST, GROWTH] = [2000, 30000, 1.5];
/** Whether an answer is being written. */
let isWriting = false;

/** Shows the question from the link. */
function showQuestion(label) {
  $("question").replaceChildren(...withMarks(label));
  show("question", label);
}

/** Sets the heading and the title. */
function head(words) {
  $("title").textContent = words;
  document.title = `${words} · flaskpaste`;
}

/** Shows an error that ends the page. */
function refuse(sentence) {
  for (const part of ["answer", "waiting"]) show(part, false);
  say("refused", sentence);
  $("title").focus();
}

/** Shows the link to the asker until there is an answer. */
function wait(ask) {
  head(t("asked.yours"));
  showQuestion(ask.label);
  links.showLink(`${new URL(`${prefix}/${id}`, location.href).href}#${ask.fragment}`);
  links.listen(() => {});
  twice($("delete"), t("page.delete.sure"), () => remove(ask));
  show("waiting", true);
  $("wait").focus();
  look(FIRST);
}

/** Polls for an answer. */
async function look(pause) {
  const next = Math.min(pause * GROWTH, LAST);
  try {
    const news = document.hidden ? answer : await (await request("GET", `/${id}`)).json();
    if (news.state === "answered") return turn(id, Object.assign(answer, news));
    say("news", t("asked.none", { end: fromNow(Math.max(0, news.expires_at - Date.now() / 1000)) }));
  } catch (error) {
    if (error.status === 404) return refuse(t("asked.ended"));
    say("news", t("asked.unreachable"));
  }
  const timer = setTimeout(again, pause, next);
  function again(pause) {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
    look(pause);
  }
  function seen() { if (!document.hidden) again(FIRST); }
  document.addEventListener("visibilitychange", seen);
}

async function remove(ask) {
  try {
    await request("DELETE", `/${id}`, { headers: { "X-Delete-Token": tokens.tokenOf(id) ?? "" } });
    await asks.forget(ask.id);
    tokens.forget(id);
    location.assign(`${prefix}/ask`);
  } catch (error) {
    say("gone", error.message);
  }
}

/** Seals the answer and sends it. */
async function give(link, signal) {
  const parts = await choice.parts();
  const plain = choice.pack(parts, {}, answer.max_size - asks.HEAD_BYTES);
  tell(t("create.encrypting"));
  const body = await asks.sealFor(link, plain);
  tell(t("create.sending"));
  const headers = { "Content-Type": "application/octet-stream", ...await asks.proof(link) };
  await upload("PUT", `/${id}/raw`, body, { headers, signal, progress: showProgress });
  isWriting = false;
}

async function send(link) {
  const refusal = await sending.send((signal) => give(link, signal), sentence);
  choice.showUse();
  // No more answers are accepted.
  const isOver = [404, 409].includes(refusal?.status);
  show("send", !isOver);
  if (refusal) return $(isOver ? "title" : "send").focus();
  // Do not leave it for the next person at this screen.
  $("text").value = "";
  choice.clear();
  choice.showChoice();
  show("answer", false);
  show("sent", true);
  head(t("asked.sent"));
  $("title").focus();
}

function sentence(error) {
  if (error instanceof asks.BadKey) return t("asked.damaged");
  if (error.status === 404) return t("asked.ended");
  return error.status === 0 ? `${error.message} ${t("asked.unsure")}` : error.message;
}

/** Shows the answer form. */
function offer(link) {
  showQuestion(link.label);
  $("until").textContent = t("asked.until", { most: size(answer.max_size), when: moment(answer.expires_at) });
  show("answer", true);
  isWriting = true;
  choice.listen(() => !sending.isSending(), () => {});
  sending.listen(() => send(link));
  $("text").focus();
}

async function begin() {
  $("https").href = secureAddress();
  if (!keys.available) return show("insecure", true);
  const ask = await asks.find(id);
  if (ask && answer.state === "answered") return turn(id, answer);
  if (ask) return wait(ask);
  if (answer.state === "answered") return refuse(t("asked.taken"));
  const link = asks.parse(location.hash.slice(1));
  if (!link) return refuse(t("asked.incomplete"));
  if (!await asks.available()) return refuse(t("asked.unable"));
  offer(link);
}

begin();
guard(() => isWriting && (sending.isSending() || !choice.isEmpty()));
isStarted();
