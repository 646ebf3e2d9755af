// The page of one paste: asks before it burns, asks for what is missing, decrypts, and shows.
//
// Invariant: the content of a burn paste is fetched by a press of the button and by nothing else; once fetched, it is
// kept until it could be shown, and does not go without a question before it was copied or downloaded, because there is no
// second time.

import {
  $, answer, copy, duration, ending, guard, isStarted, moment, reveals, say, secureAddress, show, showProgress, size, twice,
} from "./page.js";
import { download, passwordHeader, request } from "./api.js";
import { deceives, recognise } from "./content.js";
import * as lines from "./lines.js";
import * as seal from "./seal.js";
import * as tokens from "./tokens.js";

const { id, burn_after_read: burns = false, password_protected: locked = false } = answer;
/** Whether it may be encrypted: the server cannot tell, but has not recognised it either. */
const mayBeSealed = answer.mime_type === "application/octet-stream" && answer.size >= seal.OVERHEAD_BYTES;
/** What the server sent; null before. */
let upload = null;
/** What is shown, with its address for the download; null before. */
let shown = null;
/** Whether a request for it is under way: of a burn paste there must never be two. */
let loading = false;
/** Whether the reader has said that no key is to be asked for. */
let shownAsIs = false;
/** What has become of the paste on the server: "burned", "deleted", "expired" or "gone"; "" while it is there. */
let fate = "";
/** Whether the reader has what was burned: copied, or downloaded. */
let isKept = false;
/** Seconds a paste lives unread: its end was moved when this page was asked for. */
const period = answer.expires_at - Date.now() / 1000;
let { key, range } = lines.parseFragment(location.hash.slice(1));

const DAMAGED = "The key in this link is damaged: it is not 43 letters, digits, - and _.";
const MISSING = "This paste looks encrypted, and the link has no key.";
const ASK = "Ask for the whole link, with everything behind the #, and enter it here.";
/** A paste whose end moves is asked for this often once the end that was known has passed. */
const CHECKED_SECONDS = 60;
/** Stands for the words about https, which have a link in them. */
const INSECURE = "insecure";

/** What is wrong with the key before anything is fetched. */
function keyProblem() {
  // Who opens it without the key has burned it for nothing.
  const isMissing = !key && burns && mayBeSealed && !shownAsIs;
  if ((key || isMissing) && !seal.available) return INSECURE;
  if (key && !seal.isKey(key)) return `${DAMAGED} ${ASK}`;
  return isMissing ? `${MISSING} ${ASK}` : "";
}

function begin() {
  const problem = keyProblem();
  const mustAsk = upload === null && (burns || locked);
  if (problem || mustAsk) ask(problem); else load();
}

/** Shows the form, with the fields that are needed now. */
function ask(problem) {
  const isFetched = upload !== null;
  const canDecrypt = problem !== INSECURE;
  const canSkip = problem && (isFetched || !key);
  say($("problem"), canDecrypt ? problem : "");
  $("https").href = secureAddress();
  show($("insecure"), !canDecrypt);
  $("state").textContent = "";
  show($("gate"), canDecrypt || canSkip);
  show($("burns"), burns && !isFetched);
  show($("key-row"), problem && canDecrypt);
  show($("password-row"), locked && !isFetched);
  $("password").required = locked && !isFetched;
  $("go").textContent = isFetched ? "Decrypt" : burns ? "Open and delete it" : "Open";
  show($("go"), canDecrypt);
  $("as-is").textContent = isFetched ? "Show it as it is" : "Open and delete it without a key";
  show($("as-is"), canSkip);
  const field = ["key", "password"].map($).find((field) => !field.parentElement.hidden);
  (field ?? $("go")).focus();
}

/** Takes the key from the form, where one is asked for; whether there is a good one. */
function takeKey() {
  if ($("key-row").hidden) return true;
  const entered = $("key").value.trim();
  const candidate = lines.parseFragment(entered.slice(entered.indexOf("#") + 1)).key;
  if (!seal.isKey(candidate)) {
    say($("problem"), "That is no key: it is the 43 letters, digits, - and _ behind the # of the link.");
    $("key").focus();
    return false;
  }
  key = candidate;
  setFragment();
  return true;
}

/** Puts key and lines into the address: whoever copies it copies them. */
function setFragment() {
  const fragment = [key, range ? lines.formatRange(range) : ""].filter(Boolean).join(":");
  history.replaceState(null, "", location.pathname + location.search + (fragment ? `#${fragment}` : ""));
}

/** Fetches the content, which burns what burns, and shows it. */
async function load() {
  if (loading) return;
  setLoading(true);
  say($("problem"), "");
  show($("insecure"), false);
  try {
    if (upload === null) upload = await fetchContent();
    await present();
  } catch (error) {
    fail(error);
  }
  setLoading(false);
}

function setLoading(now) {
  loading = now;
  for (const button of ["go", "as-is"]) $(button).disabled = now;
}

async function fetchContent() {
  $("state").textContent = "Fetching…";
  const headers = locked ? passwordHeader($("password").value) : {};
  const response = await request("GET", `/${id}/raw`, { headers });
  if (burns) become("burned");
  try {
    return await download(response, showProgress);
  } catch {
    const lost = "It is off the server, so ask whoever sent the link to share it anew.";
    const error = new Error(`The connection broke before all of the paste was here. ${burns ? lost : "Try again."}`);
    throw Object.assign(error, { isEnd: burns });
  } finally {
    showProgress(0);
    $("password").value = "";
    revealPassword(false);
  }
}

function fail(error) {
  $("state").textContent = "";
  if (error.status === 404) become("gone");
  if (error.status === 404 || error.isEnd) return end(error.message);
  const still = burns && upload === null && error.status === 403 ? " The paste is still there." : "";
  ask("");
  say($("problem"), error.message + still);
  if (error.code === "password_wrong") $("password").select();
}

/** Decrypts what was fetched, if there is a key, and shows it. */
async function present() {
  const problem = keyProblem();
  if (problem) return ask(problem);
  $("state").textContent = key ? "Decrypting…" : "";
  const plain = key ? await seal.open(upload, key) : upload;
  if (!plain) {
    const kept = burns ? " The paste is off the server; this page alone still holds it, so do not close it." : "";
    return ask(`This key does not open this paste: one of the two was changed. ${ASK}${kept}`);
  }
  const kind = recognise(plain);
  if (!key && kind.isUnknown && mayBeSealed && !shownAsIs) {
    return ask(seal.available ? `${MISSING} ${ASK}` : INSECURE);
  }
  showContent(plain, kind);
}

function showAsIs() {
  shownAsIs = true;
  key = "";
  load();
}

function showContent(bytes, kind) {
  const hadGate = !$("gate").hidden;
  say($("problem"), "");
  show($("gate"), false);
  // Never a type that a browser would run, even when somebody opens the address of the blob.
  const blob = new Blob([bytes], { type: kind.picture ?? "application/octet-stream" });
  forgetContent();
  shown = { ...kind, url: URL.createObjectURL(blob), size: bytes.length };
  $("download").href = shown.url;
  $("download").download = `${id}.${kind.extension}`;
  const isText = kind.text !== null;
  for (const tool of ["copy", "wrap", "goto", "text"]) show($(tool), isText);
  show($("image"), kind.picture);
  show($("file"), !isText && !kind.picture);
  show($("deceives"), isText && deceives(kind.text));
  if (kind.picture) $("picture").src = shown.url;
  show($("content"), true);
  showFacts();
  $("state").textContent = burns ? "The server has deleted this paste. Keep what you need before you leave." : "";
  // The button that was pressed is gone: the keyboard goes on at what it opened.
  if (hadGate) (isText ? $("text") : $("download")).focus({ preventScroll: true });
  if (!isText) return;
  shown.lines = lines.split(kind.text);
  showText(0, false);
  markLines();
}

/** Shows the text from a line on, or all of it. */
function showText(first, all) {
  const { end, isCut } = lines.render($("text"), shown.lines, first, all);
  const count = shown.lines.length;
  if (first === 0 && end === count && !isCut) return say($("rest"), "");
  const cut = isCut ? ", the last one cut" : "";
  const part = first === 0 ? `This is the beginning: ${end} of ${count} lines${cut}.`
    : `These are lines ${first + 1} to ${end} of ${count}${cut}.`;
  say($("rest"), `${part} Copy and Download have all of it. `);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Show all";
  button.addEventListener("click", () => { showText(0, true); markLines(); $("text").focus({ preventScroll: true }); });
  $("rest").append(button);
}

/** Where a link leads beyond what is shown, shows that. */
function goToLines() {
  if (range && range.from <= shown.lines.length && !lines.isShown($("text"), range)) {
    showText(lines.before(shown.lines, range.from), false);
  }
}

/** Marks the lines the link names; whether there are such lines. */
function markLines() {
  goToLines();
  $("lines").value = range ? lines.formatRange(range).replaceAll("L", "") : "";
  return lines.mark($("text"), range);
}

function chooseLines(chosen) {
  range = chosen;
  setFragment();
  return markLines();
}

function enterLines() {
  const text = $("lines").value;
  const chosen = lines.parseRange(text);
  if (text && !chosen) {
    $("said").textContent = "Lines are numbers, like 12 or 10-20.";
    return;
  }
  const found = chooseLines(chosen);
  $("said").textContent = found ? "The address now links to these lines." : chosen ? "There is no such line." : "";
}

/** Nothing is left to show, nor to be had: it is gone. */
function end(sentence) {
  removeEventListener("hashchange", followFragment);
  forgetContent();
  upload = null;
  for (const part of ["content", "gate", "insecure"]) show($(part), false);
  $("state").textContent = "";
  say($("problem"), sentence);
  // The button that was pressed is gone: the keyboard goes on from the top.
  $("title").focus();
}

function forgetContent() {
  if (shown) URL.revokeObjectURL(shown.url);
  shown = null;
  $("text").replaceChildren();
  $("picture").removeAttribute("src");
}

async function remove() {
  try {
    // Without a token, the certificate says who deletes.
    const token = tokens.tokenOf(id);
    await request("DELETE", `/${id}`, { headers: token ? { "X-Delete-Token": token } : {} });
    become("deleted");
    end("");
    $("state").textContent = "The paste is deleted; its link leads nowhere now.";
  } catch (error) {
    say($("problem"), error.message);
  }
}

function followFragment() {
  const before = key;
  ({ key, range } = lines.parseFragment(location.hash.slice(1)));
  if (key === before) {
    if (typeof shown?.text === "string") markLines();
    return;
  }
  // What is being fetched is opened with the new key.
  if (loading) return;
  shownAsIs = false;
  show($("content"), false);
  forgetContent();
  begin();
}

/** The paste is off the server: nothing is said of it as if it were there. */
function become(what) {
  fate = what;
  tokens.forget(id);
  show($("delete"), false);
  showFacts();
}

function showFacts() {
  const facts = [size(shown?.size ?? answer.size), `created ${moment(answer.created_at)}`];
  const left = answer.expires_at - Date.now() / 1000;
  const end = ending(answer, period);
  facts.push(fate || (answer.sliding || left < 1 ? end : `${end}, in ${duration(left)}`));
  $("facts").textContent = facts.join(" · ");
}

/** Keeps the facts true as time goes by. A read somewhere else may have moved the end of a paste: the server knows. */
async function watch() {
  const left = answer.expires_at - Date.now() / 1000;
  if (fate) return;
  showFacts();
  if (left > 0) return setTimeout(watch, Math.min(left + 1, 30) * 1000);
  if (answer.sliding && await request("HEAD", `/${id}`).then(() => true, (error) => error.status !== 404)) {
    return setTimeout(watch, CHECKED_SECONDS * 1000);
  }
  if (!fate) become("expired");
  if (upload === null && !loading) end("This paste has expired.");
}

/** Whether something would be lost with this page: what burns while it is fetched, and when it is here. */
const isAtRisk = () => burns && loading || fate === "burned" && upload !== null && !isKept;

const revealPassword = reveals($("reveal"), $("password"));

$("gate").addEventListener("submit", (event) => { event.preventDefault(); if (takeKey()) load(); });
$("as-is").addEventListener("click", showAsIs);
$("copy").addEventListener("click", () => {
  const copied = copy(shown.text);
  isKept ||= copied;
  $("said").textContent = copied ? "Copied." : "This browser does not let pages copy: select the text.";
});
$("download").addEventListener("click", () => { isKept = true; });
$("wrap").addEventListener("click", () => {
  const wraps = $("text").classList.toggle("wrap");
  $("wrap").setAttribute("aria-pressed", wraps);
});
$("text").addEventListener("click", (event) => {
  const line = lines.clicked($("text"), event);
  if (!line) return;
  const other = event.shiftKey && range ? range.from : line;
  chooseLines({ from: Math.min(line, other), to: Math.max(line, other) });
});
$("lines").addEventListener("change", enterLines);
$("lines").addEventListener("keydown", (event) => { if (event.key === "Enter") enterLines(); });
$("picture").addEventListener("error", () => { show($("image"), false); show($("file"), true); });
addEventListener("hashchange", followFragment);
twice($("delete"), "Delete for everybody?", remove);
// The server tells the owner alone who that is.
show($("delete"), tokens.tokenOf(id) || answer.owner);
begin();
watch();
guard(isAtRisk);
isStarted();
