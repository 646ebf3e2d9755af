// The create page: encrypts and uploads text or files, and shows the link.
//
// Invariant: nothing is sent before the button is pressed, and with encryption on nothing in plaintext, not even a name
// or a password. Unsent text and an uncopied link are not discarded without confirmation.

import {
  $, answer, copy, ending, guard, isHere, isStarted, offerExpiries, on, prefix, reveals, say, secureAddress, show, showProgress, tell, twice,
} from "./page.js";
import { passwordHeader, request, upload } from "./api.js";
import * as access from "./access.js";
import * as choice from "./choice.js";
import { take } from "./draft.js";
import * as keys from "./keys.js";
import * as links from "./link.js";
import { seal } from "./sealed.js";
import * as sending from "./sending.js";
import { follow as followReads } from "./receipts.js";
import { prove } from "./solve.js";
import * as tokens from "./tokens.js";
import * as yours from "./yours.js";
import { duration, moment, plural, sentences, size, t } from "./words.js";

/** The alphabet of generated passwords: 32 unambiguous letters, five bits each. */
const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
const { limits } = answer;
const most = () => (answer.authenticated || access.hasToken() ? limits.max_auth : limits.max_anon);
const title = document.title;
/** The paste shown as the result, or null. */
let current = null;
/** Whether the link is saved: it was copied, or this page navigates to it. */
let isLinkKept = false;
/** Whether the password is known: it was typed, or copied or revealed beside the link. */
let isSecretKept = true;

const isEncrypted = () => $("encrypt").checked;

/** The tolerance in seconds for an expiry later than requested. */
const LATE_SECONDS = 60;

const wishedReads = () => Number($("reads").value) || undefined;

/** The headers for the options of the paste. */
const wishes = () => ({
  reads: wishedReads(),
  expires_at: $("expiry").value ? Math.floor(Date.now() / 1000) + Number($("expiry").value) : undefined,
});

/** Rejects, before anything is sent, what the server or a reader would refuse. */
function check(parts) {
  if (isEncrypted()) return choice.pack(parts, wishes(), most());
  if (parts.length > 1) throw new Error(t("create.alone"));
  choice.expectRoom(choice.length(parts), most());
}

/** The body of a sealed paste, with its headers and fragment. */
async function sealed(parts) {
  const key = keys.random(32);
  const secrets = await keys.derive(key, $("password").value);
  return { body: await seal(secrets.root, choice.pack(parts, wishes(), most())), fields: await keys.gate(secrets), fragment: keys.encode(key) };
}

/** The same for an unencrypted paste. */
function open(parts) {
  return { body: parts[0].blob, fields: $("password").value ? passwordHeader($("password").value) : {} };
}

function headers() {
  // For any content: the server detects pictures and text by their bytes, and would interpret JSON as parameters.
  const fields = { "Content-Type": "application/octet-stream" };
  if ($("expiry").value) fields["X-Expiry"] = $("expiry").value;
  if (wishedReads() === 1) fields["X-Burn-After-Read"] = "true";
  else if (wishedReads()) fields["X-Reads"] = wishedReads();
  return fields;
}

async function create(signal) {
  const all = await choice.parts($("nameless").checked);
  check(all);
  const token = access.bearer();
  const proof = await prove(signal);
  tell(isEncrypted() ? t("create.encrypting") : "");
  const { body, fields, fragment } = isEncrypted() ? await sealed(all) : open(all);
  tell(t("create.sending"));
  const created = await upload("POST", "/", body, { headers: { ...headers(), ...fields, ...proof, ...token }, signal, progress: showProgress });
  if (!isHere(created)) throw new Error(sentences(t("api.unreadable"), t("create.lost")));
  const size = choice.length(all);
  tokens.keep(created.id, created.delete_token, created.expires_at, { size });
  const faults = undone(created);
  if (faults.length > 0) throw new Error(sentences(...faults, await withdraw(created), t("create.dropped")));
  return { ...created, fragment, size };
}

/** Options the server did not honour, as one message each. */
function undone(created) {
  const { burn_after_read: burns, reads_left: left, created_at: made, expires_at: ends, sliding } = created;
  const [reads, seconds] = [wishedReads(), Number($("expiry").value)];
  const isAsked = isEncrypted() ? created.proof_required && created.password_proof : created.password_protected;
  const isLimited = reads === 1 && burns || left <= reads;
  return [
    $("password").value && !isAsked && t("create.undone.password"),
    reads && !isLimited && t("create.undone.reads"),
    seconds && (sliding || !(ends - made <= seconds + LATE_SECONDS)) && t("create.undone.end"),
  ].filter(Boolean);
}

/** Deletes the paste just created; returns a message about the outcome. */
async function withdraw({ id, delete_token: token }) {
  try {
    await request("DELETE", `/${id}`, { headers: { "X-Delete-Token": token } });
    tokens.forget(id);
    return t("create.withdrawn");
  } catch {
    return t("create.undeleted");
  }
}

async function send() {
  const refusal = await sending.send(async (signal) => showResult(await create(signal)), sentence);
  choice.showUse();
  showOptions();
  // The Cancel button is hidden: return focus to where it was, or to the missing field.
  if (!current) access.goOn(refusal?.code);
}

function sentence(error) {
  if (error.code === "entropy_too_low") return t("create.entropy");
  return access.sentence(error);
}

/** Disables options that do not apply. */
function showOptions() {
  $("encrypt").disabled = !keys.available;
  $("burn").checked = wishedReads() === 1;
  show("copy-password", $("password").value);
  $("password-copied").textContent = "";
  // Nothing may say that the server sees nothing when it does.
  show("lead", current ? current.fragment : isEncrypted());
  show("encrypt-note", isEncrypted());
  $("encrypt").setAttribute("aria-describedby", isEncrypted() ? "encrypt-note" : "readable");
  show("readable", keys.available && !isEncrypted());
  show("nameless-row", choice.files().length === 1 && isEncrypted());
}

function showResult(created) {
  const link = new URL(created.url, location.href).href + (created.fragment ? `#${created.fragment}` : "");
  $("secret").value = $("password").value;
  show("locked", $("password").value);
  // Text that was not sent because of a file stays.
  const unsent = choice.files().length > 0 ? $("text").value : "";
  choice.clear();
  $("create").reset();
  access.offer();
  hidePasswords();
  $("text").value = unsent;
  $("encrypt").checked = keys.available;
  choice.showChoice();
  links.showLink(link);
  $("open").href = link;
  $("about").textContent = t(created.fragment ? "create.sealed" : "create.plain");
  // The content is encrypted, but anyone can fetch or burn it.
  const isOpen = created.fragment && !created.proof_required;
  say("lacks", isOpen ? sentences(t("create.ungated"), t("create.dropped")) : "");
  $("facts").textContent = facts(created);
  show("create", false);
  show("result", true);
  say("gone", "");
  scrollTo(0, 0);
  $("done").focus({ preventScroll: true });
  current = created;
  isLinkKept = false;
  followReads(created, () => current === created);
  yours.offer();
  setAddress(link, `${t("create.title", { id: created.id })} · flaskpaste`);
}

/** Puts the link into the address bar, so that reopening a tab closed by mistake shows the paste. */
function setAddress(address, name) {
  if (new URL(address, location.href).origin === location.origin) history.replaceState(null, "", address);
  document.title = name;
}

function facts(created) {
  const end = ending(created, limits.expiry);
  if (!created.sliding) expireAt(created);
  const { burn_after_read: burns, reads_left: left } = created;
  const ends = burns || left === 1 ? t("create.ends.burn", { end })
    : left ? plural("create.ends.reads", left, { end }) : t("create.ends", { end });
  return sentences(t("create.size", { size: size(created.size) }), ends, created.password_protected && t("create.locked"));
}

/** Says when the paste shown has expired. */
function expireAt(created) {
  const left = created.expires_at * 1000 - Date.now();
  // Timers are limited to 24 days.
  if (left < 2 ** 31) setTimeout(() => {
    if (current !== created) return;
    isLinkKept = isSecretKept = true;
    $("facts").textContent = t("create.expired", { when: moment(created.expires_at) });
  }, left);
}

/** Copies the password from a field, and says so. */
function copySecret(field, said) {
  const copied = copy($(field).value);
  isSecretKept ||= copied;
  $(said).textContent = t(copied ? "create.copied.password" : "create.uncopied.password");
}

/** Opens the link here. It is already in the address bar, so following it would do nothing. */
function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  isLinkKept = true;
  if ($("link").value === location.href) location.reload(); else location.assign($("link").value);
}

/** A password of 100 random bits, in groups that are easy to read aloud. */
function generate() {
  const letters = Array.from(crypto.getRandomValues(new Uint8Array(20)), (byte) => LETTERS[byte & 31]).join("");
  $("password").value = letters.match(/.{5}/g).join("-");
  revealPassword(true);
  isSecretKept = false;
  showOptions();
}

function hidePasswords() {
  revealPassword(false);
  revealSecret(false);
}

async function remove() {
  try {
    await request("DELETE", `/${current.id}`, { headers: { "X-Delete-Token": current.delete_token } });
    tokens.forget(current.id);
    startAgain();
    tell(t("page.deleted"));
  } catch (error) {
    say("gone", error.message);
  }
}

function startAgain() {
  current = null;
  isSecretKept = true;
  setAddress(`${prefix}/`, title);
  links.forgetLink();
  $("secret").value = "";
  $("open").removeAttribute("href");
  show("result", false);
  show("create", true);
  showOptions();
  tell("");
  $("text").focus();
}

/** Whether leaving this page would lose something. */
const isAtRisk = () => Boolean(current ? missing() : sending.isSending() || !choice.isEmpty());

/** What to copy first before leaving the result; "" if nothing. */
const missing = () => (!isLinkKept ? t("create.first.link") : isSecretKept ? "" : t("create.first.password"));

const revealPassword = reveals($("reveal"), $("password"));
const revealSecret = reveals($("reveal-secret"), $("secret"));

/** Whether dropped or pasted content can be accepted now. */
function accepts() {
  if (sending.isSending()) return false;
  if (current && isAtRisk()) {
    say("gone", missing());
    return false;
  }
  if (current) startAgain();
  return true;
}

function begin() {
  offerExpiries($("expiry"), limits);
  access.offer();
  $("encrypt").checked = keys.available;
  $("https").href = secureAddress();
  show("insecure", !keys.available);
  choice.listen(accepts, showOptions);
  links.listen(() => { isLinkKept = true; });
  sending.listen(send);
  on("encrypt", "change", showOptions);
  on("reads", "input", showOptions);
  // Burning means one read.
  on("burn", "change", () => { $("reads").value = $("burn").checked ? 1 : ""; });
  on("generate", "click", generate);
  on("copy-password", "click", () => copySecret("password", "password-copied"));
  on("copy-secret", "click", () => copySecret("secret", "copied"));
  on("open", "click", follow);
  on("password", "input", () => { isSecretKept = true; showOptions(); });
  for (const [field, event] of [["password", "copy"], ["secret", "copy"], ["reveal-secret", "click"]]) {
    on(field, event, () => { isSecretKept = true; });
  }
  twice($("again"), t("create.again.sure"), startAgain, isAtRisk);
  twice($("delete"), t("page.delete.sure"), remove);
}

begin();
yours.listen();
take(choice.fill);
guard(isAtRisk);
isStarted();
