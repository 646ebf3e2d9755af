// The page of a paste: asks before using a read, asks for a missing key or password, decrypts, and shows the content.
//
// Invariant: a read of a limited paste is taken only when the button is pressed, and confirmed when everything is shown.
// Content of the last read is not discarded without confirmation before it was copied or downloaded. Must never send the
// password of a sealed paste, nor show part of an incomplete one.

import {
  $, answer, copy, ending, guard, isStarted, on, rest, reveals, say, secureAddress, show, showProgress, tell, twice,
} from "./page.js";
import { Broken, request } from "./api.js";
import * as asks from "./asks.js";
import { cleaned, deceives, recognise } from "./content.js";
import * as draft from "./draft.js";
import * as files from "./files.js";
import * as keys from "./keys.js";
import * as lines from "./lines.js";
import { Reading, Unsure } from "./reading.js";
import { OVERHEAD_BYTES, open as unseal } from "./seal.js";
import { Opener, WrongKey, isSealed } from "./sealed.js";
import { forgetText, listen, mark, showText } from "./text.js";
import * as tokens from "./tokens.js";
import { fromNow, moment, plural, sentences, size, t } from "./words.js";

/** The ask of this browser that this paste answers, or null. */
const question = answer.state ? await asks.find(answer.id) : null;
// An answer is a paste with one read, given to the asker.
if (answer.state) {
  Object.assign(answer, { burn_after_read: true, reads_left: 1, proof_required: true, mime_type: "", sliding: false });
}
const { id, burn_after_read: burns = false, reads_left: reads, password_protected: locked = false } = answer;
/** Whether reading needs a proof of the whole link: then the server never sees the password. */
const gated = answer.proof_required ?? false;
/** Whether reads are counted. */
const limited = burns || reads !== undefined;
/** Whether it may be encrypted: the server cannot know, but has not recognised another type. */
const mayBeSealed = gated || answer.mime_type === "application/octet-stream" && answer.size >= OVERHEAD_BYTES;
const reading = new Reading(id, limited);
/** The upload as received, if it was not decrypted while streaming; else null. */
let upload = null;
/** The decrypted content, with the key that opened it; null before. */
let opened = null;
/** The file shown, with its download URL; null before. */
let shown = null;
/** Whether a request is in progress: a limited paste must never have two. */
let loading = false;
/** Whether a read may have been used without an answer: another one needs a button that says so. */
let isUnsure = false;
/** Whether the server does not count reads although it said so. */
let isUncounted = false;
/** Whether the reader chose to open it without a key. */
let shownAsIs = false;
/** What happened to the paste on the server, as a word key; "" while it exists. */
let fate = "";
/** Unsealed content, as a file. */
const whole = {};
/** The files the reader has copied or downloaded. */
const kept = new Set();
/** The lifetime in seconds without a read: requesting this page has just extended it. */
const period = answer.expires_at - Date.now() / 1000;
let { key, range } = lines.parseFragment(question ? "" : location.hash.slice(1));

const [BURNED, DELETED] = ["paste.fact.burned", "paste.fact.deleted"];
const MISSING = sentences(t(gated ? "paste.nokey" : "paste.nokey.perhaps"), t("paste.ask"));
const WRONG = sentences(t("paste.wrong"), t("paste.ask"));
/** How often to check a paste with a sliding expiry after its known expiry has passed. */
const CHECKED_SECONDS = 60;
/** The tolerance for an expiry later than the sender set: uploads take time, and clocks differ. As in fpaste. */
const LATE_SECONDS = 120;
/** Stands for the message about https, which contains a link. */
const INSECURE = "insecure";

const isFetched = () => upload !== null || opened !== null;
/** Whether the password is needed; with a lease the server does not ask for it. */
const needsPassword = () => locked && !isFetched() && (gated || reading.until === undefined);
/** Whether the server asks for a password it should never see if the paste is sealed, as the key in the link suggests. */
const exposesPassword = () => Boolean(key) && !gated && needsPassword();

/** The problem with the key, before anything is fetched. */
function keyProblem() {
  if (question) return keys.available ? "" : INSECURE;
  // Opening it without the key would burn it for nothing.
  const isMissing = !key && (gated || limited && mayBeSealed && !shownAsIs);
  if ((key || isMissing) && !keys.available) return INSECURE;
  const fault = key && keys.fault(key);
  if (fault) return sentences(t("paste.damagedkey", { fault: t(fault) }), t("paste.ask"));
  return isMissing ? MISSING : "";
}

function begin() {
  const problem = keyProblem();
  const mustAsk = !isFetched() && limited && reading.until === undefined || needsPassword();
  if (problem || mustAsk) ask(problem); else load();
}

/** Shows the form with the fields needed now. */
function ask(problem) {
  const canDecrypt = problem !== INSECURE;
  const canSkip = problem && (upload !== null || !key && !gated && !opened);
  say("problem", canDecrypt ? problem : "");
  $("https").href = secureAddress();
  show("insecure", !canDecrypt);
  tell("");
  show("gate", canDecrypt || canSkip);
  const isTaken = isFetched() || reading.until !== undefined;
  show("burns", burns && !isTaken);
  say("limited", !limited || burns || isTaken ? ""
    : reads > 1 ? plural("paste.limited", reads - 1) : t("paste.limited.last"));
  show("key-row", problem && canDecrypt);
  show("password-row", needsPassword());
  $("password").required = needsPassword();
  for (const part of ["exposes", "expose"]) show(part, exposesPassword());
  $("go").textContent = goingOn(isTaken);
  show("go", canDecrypt && !exposesPassword());
  $("as-is").textContent = t(isFetched() ? "paste.asis" : burns ? "paste.asis.burn" : "paste.asis.open");
  show("as-is", canSkip);
  const field = ["key", "password"].map($).find((field) => !field.parentElement.hidden);
  (field ?? $("go")).focus();
}

/** The label for what the button does next. */
function goingOn(isTaken) {
  if (isFetched()) return t("paste.decrypt");
  if (isTaken || isUnsure && burns) return t("paste.again");
  return t(isUnsure ? "paste.another" : question ? "paste.answer.show" : burns ? "paste.burn" : "page.open");
}

/** Reads the key from the form if it asks for one; returns whether it is valid. */
function takeKey() {
  if (loading) return false;
  if ($("key-row").hidden) return true;
  const entered = $("key").value.trim();
  const candidate = lines.parseFragment(entered.slice(entered.indexOf("#") + 1)).key;
  const fault = keys.fault(candidate);
  if (fault) {
    say("problem", t("paste.nonsense", { fault: t(fault) }));
    $("key").focus();
    return false;
  }
  key = candidate;
  setFragment();
  return true;
}

/** Puts key and lines into the address, so that a copied address includes them. */
function setFragment() {
  const fragment = [key, range ? lines.formatRange(range) : ""].filter(Boolean).join(":");
  history.replaceState(null, "", location.pathname + location.search + (fragment ? `#${fragment}` : ""));
}

/** Opens the paste, unless that would reveal a password to the server without the reader's consent. */
function open() {
  if (!takeKey()) return;
  if (exposesPassword()) ask(""); else load();
}

/** Fetches the content, which uses a read if limited, and shows it; `isExposed`: the server may see the password. */
async function load(isExposed = false) {
  if (loading) return;
  setLoading(true);
  say("problem", "");
  show("insecure", false);
  let used = null;
  try {
    if (!isFetched()) await fetchContent(isExposed);
    used = key;
    await present();
  } catch (error) {
    fail(error);
  }
  setLoading(false);
  // The key in the address changed while this one was used, or while the read was confirmed.
  if (used !== null && key !== used) changeKey();
}

function setLoading(now) {
  loading = now;
  for (const button of ["go", "expose", "as-is"]) rest($(button), now);
}

async function fetchContent(isExposed) {
  // The key in the address may change meanwhile.
  const used = key;
  const secrets = await derive();
  const password = used && !isExposed ? "" : $("password").value;
  tell(t("paste.fetching"));
  const pausing = () => { tell(t("paste.pausing")); };
  try {
    const got = await reading.fetch({ secrets, isGated: gated, password, progress: showProgress, pausing });
    isUnsure = false;
    if (got.content) opened = { key: used, ...got.content }; else upload = got.upload;
    if (!gated) forgetPassword();
  } finally {
    showProgress(0);
  }
  if (!limited || reading.until !== undefined) return;
  isUncounted = !await reading.isCounted(reads ?? 1);
  if (!isUncounted && !(reads > 1)) become(BURNED);
}

/** The keys derived from the link key and, unless the server checks it, the password. */
async function derive() {
  if (question) return asks.secretsOf(question);
  if (!key || !keys.available) return null;
  const password = gated && locked ? $("password").value : "";
  // Takes a second, by design.
  if (password) tell(t("paste.deriving"));
  return keys.derive(keys.decode(key), password);
}

function forgetPassword() {
  $("password").value = "";
  revealPassword(false);
}

function fail(error) {
  tell("");
  if (error.status === 404) {
    become("paste.fact.gone");
    if (isUnsure) return end(sentences(t("paste.taken"), t("paste.share")));
    return end(reading.until ? sentences(t("paste.late", { when: moment(reading.until) }), t("paste.share")) : error.message);
  }
  isUnsure ||= error instanceof Unsure;
  const isWrong = error.code === "proof_wrong" || error instanceof WrongKey;
  ask(isWrong ? WRONG : "");
  say("problem", sentences(sentence(error, isWrong), stillThere(error)));
  if (error.code === "password_wrong") $("password").select();
}

function sentence(error, isWrong) {
  if (isWrong) return WRONG;
  if (error instanceof Unsure) {
    return sentences(error.message, t("paste.unsure"), t(burns ? "paste.unsure.burn" : "paste.unsure.button"));
  }
  if (error instanceof Broken) return t("paste.broken");
  return error.message;
}

/** The state of a limited paste that could not be shown. */
function stillThere(error) {
  if (!limited || isFetched() || isUnsure) return "";
  if (reading.until !== undefined) return t("paste.held", { when: moment(reading.until) });
  return error.status === 403 ? t("paste.there") : "";
}

/** Decrypts the fetched content if there is a key, and shows it. */
async function present() {
  const problem = keyProblem();
  if (problem) return ask(problem);
  if (opened && opened.key !== key) throw new WrongKey();
  tell(key ? t("paste.decrypting") : "");
  if (!opened && key && isSealed(upload)) await openUpload();
  if (opened) return showFiles();
  const plain = key ? await unseal(upload, key) : upload;
  if (!plain) return ask(sentences(t("paste.changed"), t("paste.ask"), limited && t("paste.holds")));
  const kind = recognise(plain);
  const isUnread = isSealed(plain) || kind.isUnknown && mayBeSealed;
  if (!key && isUnread && !shownAsIs) return ask(keys.available ? MISSING : INSECURE);
  showContent(whole, plain, kind);
  await confirm();
}

/** Decrypts a sealed upload that was received whole. */
async function openUpload() {
  const used = key;
  const opener = new Opener((await derive()).root);
  await opener.push(upload);
  opened = { key: used, ...await opener.finish() };
}

/** Shows the decrypted content: a single text or picture directly, else a list. */
async function showFiles() {
  const all = opened.files;
  if (all.length === 1) {
    await view(all[0]);
  } else {
    const hadGate = leaveGate();
    files.list($("files"), all, (file) => view(file).then(() => $("content").scrollIntoView()), (file) => kept.add(file));
    for (const part of ["several", "reuse"]) show(part, true);
    showFacts();
    if (hadGate) $("files").querySelector("button").focus({ preventScroll: true });
  }
  await confirm();
}

/** Saves all files as one archive. */
async function saveAll() {
  if ($("all").ariaDisabled) return;
  rest($("all"), true);
  const all = await files.archive(opened.files);
  if (all) {
    files.save(all, `${id}.zip`);
    for (const file of opened.files) kept.add(file);
  }
  rest($("all"), false);
  if (!all) tell(t("paste.nozip"));
}

/** Shows one of the files. */
async function view(file) {
  const bytes = new Uint8Array(await file.blob.arrayBuffer());
  // Do not show it if the key changed meanwhile; for the first file, `load` handles that.
  if (loading || opened?.key === key) showContent(file, bytes, recognise(bytes));
}

/** Confirms the read to the server, and tells the reader where the server differs from what the sender set. */
async function confirm() {
  forgetPassword();
  const isLast = burns || reading.left === 0;
  let state = "";
  try {
    await reading.confirm();
    if (reading.until !== undefined && isLast) become(BURNED);
    if (fate === BURNED) state = t("paste.burned");
    else if (reading.left > 0) state = t("paste.left", { n: reading.left });
  } catch {
    state = t("paste.unconfirmed", { when: moment(reading.until) });
  }
  tell(state);
  $("state").classList.toggle("notice", fate === BURNED);
  say("differs", difference());
}

/** Where the server differs from what the sender set. */
function difference() {
  const { reads: asked, expires } = opened ?? {};
  const faults = [];
  if (isUncounted) faults.push(t("paste.differs.uncounted"));
  else if (asked && !(reads <= asked)) faults.push(plural("paste.differs.reads", asked));
  const isLate = answer.sliding || answer.expires_at > expires + LATE_SECONDS;
  if (expires && isLate && fate !== BURNED) faults.push(t("paste.differs.late", { when: moment(expires) }));
  return faults.length > 0 ? sentences(...faults, t("paste.differs.tell")) : "";
}

function showAsIs() {
  if (loading) return;
  shownAsIs = true;
  key = "";
  load();
}

/** Hides the form; returns whether it was visible. */
function leaveGate() {
  const hadGate = !$("gate").hidden;
  say("problem", "");
  show("gate", false);
  return hadGate;
}

/** Shows the bytes of a file of this kind. */
function showContent(file, bytes, kind) {
  const hadGate = leaveGate();
  // Never a type a browser would run, even if the blob's URL is opened.
  const blob = new Blob([bytes], { type: kind.picture ?? "application/octet-stream" });
  forgetContent();
  shown = { ...kind, file, blob, type: blob.type, url: URL.createObjectURL(blob), size: bytes.length };
  $("download").href = shown.url;
  $("download").download = file.name === undefined ? `${id}.${kind.extension}` : files.savedName(file.name);
  $("name").replaceChildren(...(file.name === undefined ? [] : files.describe(file)));
  show("name", file.name !== undefined);
  const isText = kind.text !== null;
  for (const tool of ["copy", "wrap", "goto", "colours", "text"]) show(tool, isText);
  show("image", kind.picture);
  show("file", !isText && !kind.picture);
  show("deceives", isText && deceives(kind.text));
  if (kind.picture) $("picture").src = shown.url;
  for (const part of ["content", "reuse"]) show(part, true);
  showFacts();
  // The pressed button is gone: focus what it opened.
  if (hadGate) (isText ? $("text") : $("download")).focus({ preventScroll: true });
  if (isText) showText(kind.text, range, file.name);
}

/** Starts a new paste from this one: a single text for editing, or the files, under names that do not reveal this paste. */
function reuse() {
  const all = opened?.files ?? [shown];
  const named = ({ name = `paste.${shown.extension}`, blob, size, type }) => ({ name, blob: blob.slice(0, size, type) });
  const content = all.length === 1 && shown.text !== null ? { text: shown.text } : { files: all.map(named) };
  say("blocked", draft.give(content) ? "" : t("paste.blocked"));
}

/** Puts lines into the address; returns whether they exist. */
function chooseLines(chosen) {
  range = chosen;
  setFragment();
  return mark(range);
}

/** The paste is gone, and nothing is left to show. */
function end(sentence) {
  removeEventListener("hashchange", followFragment);
  forgetContent();
  upload = opened = null;
  for (const part of ["content", "several", "reuse", "blocked", "differs", "gate", "insecure"]) show(part, false);
  tell("");
  say("problem", sentence);
  // The pressed button is gone: focus the heading.
  $("title").focus();
}

function forgetContent() {
  if (shown) URL.revokeObjectURL(shown.url);
  shown = null;
  $("said").textContent = "";
  forgetText();
  $("picture").removeAttribute("src");
}

async function remove() {
  try {
    // Without a token, the client certificate authenticates the delete.
    const token = tokens.tokenOf(id);
    await request("DELETE", `/${id}`, { headers: token ? { "X-Delete-Token": token } : {} });
    become(DELETED);
    end("");
    tell(t("page.deleted"));
  } catch (error) {
    say("problem", error.message);
  }
}

function followFragment() {
  const before = key;
  ({ key, range } = lines.parseFragment(location.hash.slice(1)));
  if (key === before) {
    if (typeof shown?.text === "string") mark(range);
    return;
  }
  // A fetch in progress uses the new key; if content is being shown, `load` updates it afterwards.
  if (!loading) changeKey();
}

/** Shows only what the key now in the address opens. */
function changeKey() {
  shownAsIs = false;
  for (const part of ["content", "several", "reuse", "blocked", "differs"]) show(part, false);
  forgetContent();
  begin();
}

/** The paste is no longer on the server: hide everything that assumes it is. */
function become(what) {
  fate = what;
  if (what === DELETED) tokens.forget(id);
  // Its key opens nothing else.
  if (question && isFetched()) asks.forget(id);
  show("delete", false);
  showFacts();
}

function showFacts() {
  const known = opened ? opened.files.reduce((sum, file) => sum + file.size, 0) : shown?.size;
  // Sealed content is padded: its real size is known once decrypted.
  const facts = [known === undefined && gated ? t("paste.fact.most", { size: size(answer.size) }) : size(known ?? answer.size),
    t("paste.fact.created", { when: moment(answer.created_at) })];
  const left = answer.expires_at - Date.now() / 1000;
  const end = ending(answer, period);
  facts.push(fate ? t(fate) : answer.sliding || left < 1 ? end : t("paste.fact.ends", { end, in: fromNow(left) }));
  $("facts").textContent = facts.join(" · ");
}

/** Keeps the facts current. A read elsewhere may have extended the expiry: ask the server. */
async function watch() {
  const left = answer.expires_at - Date.now() / 1000;
  if (fate) return;
  showFacts();
  if (left > 0) return setTimeout(watch, Math.min(left + 1, 30) * 1000);
  if (answer.sliding && await request("HEAD", `/${id}`).then(() => true, (error) => error.status !== 404)) {
    return setTimeout(watch, CHECKED_SECONDS * 1000);
  }
  if (!fate) become("paste.fact.expired");
  if (!isFetched() && !loading) end(t("paste.expired"));
}

/** Whether leaving this page would lose a taken read or its content. */
const isAtRisk = () => limited && (loading
  || (isFetched() ? (opened?.files ?? [whole]).some((file) => !kept.has(file)) : reading.until !== undefined && !fate));

const revealPassword = reveals($("reveal"), $("password"));

on("gate", "submit", (event) => { event.preventDefault(); open(); });
on("expose", "click", () => { if (takeKey()) load(true); });
on("as-is", "click", showAsIs);
listen(chooseLines);
on("copy", "click", () => {
  const copied = copy(shown.text);
  if (copied) kept.add(shown.file);
  $("said").textContent = t(copied ? "page.copied" : "paste.uncopied");
});
on("download", "click", () => kept.add(shown.file));
on("picture", "error", () => { show("image", false); show("file", true); });
on("all", "click", saveAll);
on("reuse", "click", reuse);
if (!question) addEventListener("hashchange", followFragment);
twice($("delete"), t("page.delete.sure"), remove);
// The server sends the owner only to the owner.
// Answers are deleted from "Your pastes": a button here would be pressed by mistake.
show("delete", !question && (tokens.tokenOf(id) || answer.owner));
if (question) {
  const label = cleaned(question.label);
  $("burns").textContent = t("paste.answer.once");
  document.title = `${t("paste.answer")} · flaskpaste`;
  $("title").textContent = label ? t("paste.answer.to", { label }) : t("paste.answer");
}
begin();
watch();
guard(isAtRisk);
isStarted();
