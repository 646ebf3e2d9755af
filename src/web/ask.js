// The page for asking for a secret: the visitor says what they need and gets a link to send.
//
// Invariant: the question is only in the link, and the private key only in this browser, which is checked to store it
// before anything is sent.

import { $, answer, guard, isHere, isStarted, offerExpiries, prefix, say, secureAddress, show, tell } from "./page.js";
import { request } from "./api.js";
import * as access from "./access.js";
import * as asks from "./asks.js";
import * as keys from "./keys.js";
import * as sending from "./sending.js";
import { prove } from "./solve.js";
import * as tokens from "./tokens.js";
import { sentences, t } from "./words.js";

/** Whether the ask was created and its page is about to open. */
let isMade = false;

/** Creates the ask and returns the address of its page. */
async function make(signal) {
  const label = $("label").value.trim();
  if (!asks.fits(label)) throw new Error(t("ask.long"));
  const { headers, ...ask } = await asks.make(label);
  // If the key is not stored, the answer could not be opened.
  const trial = { ...ask, id: "trial", expires: 0 };
  await asks.keep(trial).catch(() => { throw new Error(t("ask.unkept")); });
  const token = access.bearer();
  const fields = { ...headers, ...await prove(signal), ...token };
  if ($("expiry").value) fields["X-Expiry"] = $("expiry").value;
  tell(t("create.sending"));
  const made = await (await request("POST", "/ask", { headers: fields, signal })).json().catch(() => ({}));
  if (!isHere(made)) throw new Error(sentences(t("api.unreadable"), t("create.lost")));
  await asks.keep({ ...ask, id: made.id, label, expires: made.expires_at });
  tokens.keep(made.id, made.delete_token, made.expires_at);
  return `${prefix}/${made.id}#${ask.fragment}`;
}

/** Creates the ask and opens its page; the form stays unchanged until then. */
async function open(signal) {
  const address = await make(signal);
  isMade = true;
  location.assign(address);
  await new Promise(() => {});
}

async function send() {
  const refusal = await sending.send(open, access.sentence);
  access.goOn(refusal.code);
}

async function begin() {
  $("https").href = secureAddress();
  show("insecure", !keys.available);
  // Nothing is read before the answer, so the default expiry does not mention reads.
  offerExpiries($("expiry"), answer.limits, "create.after");
  access.offer();
  sending.listen(send);
  const isAble = keys.available && await asks.available();
  $("send").disabled = !isAble;
  say("unable", keys.available && !isAble ? t("ask.unable") : "");
}

begin();
guard(() => !isMade && (sending.isSending() || $("label").value));
isStarted();
