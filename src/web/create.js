// The page that creates: text or a file goes out encrypted, a link comes back.
//
// Invariant: nothing is sent before the button is pressed, and while encryption is on nothing readable, be it a name or a
// password; what was written, and a link nobody has copied, does not go without a question.

import {
  $, answer, copy, ending, guard, isStarted, on, prefix, reveals, say, secureAddress, show, showProgress, tell, twice,
} from "./page.js";
import { passwordHeader, request, upload } from "./api.js";
import { cleaned } from "./content.js";
import { encode as encodeQr } from "./qr.js";
import { solve } from "./solve.js";
import * as access from "./access.js";
import * as keys from "./keys.js";
import { withMarks } from "./lines.js";
import * as manifest from "./manifest.js";
import { padded, roomIn, seal } from "./sealed.js";
import * as receipts from "./receipts.js";
import * as tokens from "./tokens.js";
import { duration, moment, plural, sentences, size, t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
/** Letters of a generated password: none is taken for another, and there are 32, of which five bits choose. */
const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
/** So many of the files that were chosen are named. */
const LISTED = 8;
const { limits, pow } = answer;
const most = () => (answer.authenticated || access.hasToken() ? limits.max_auth : limits.max_anon);
const title = document.title;
/** What the Cancel button ends; null while nothing is being sent. */
let sending = null;
/** The paste that is shown as the result; null before. */
let current = null;
/** Whether somebody has the link: it was copied, or this page is left for it. */
let isLinkKept = false;
/** Whether somebody has the password: they wrote it, or it was copied or looked at beside the link. */
let isSecretKept = true;

/** What was dropped with a folder in it, which a field cannot hold; null where the field has what was chosen. */
let dropped = null;
/** What is chosen: `{ name, blob }` each. */
const chosen = () => dropped ?? Array.from($("file").files, (blob) => ({ name: blob.name, blob }));
/** Whether what is chosen is one picture. */
const isPicture = (files) => files.length === 1 && files[0].blob.type.startsWith("image/");
const isEncrypted = () => $("encrypt").checked;

function offerExpiries() {
  const common = [600, 3600, 86400, 604800, 2592000].filter((seconds) => seconds < limits.max_expiry);
  const choice = (seconds) => new Option(t("create.after", { time: duration(seconds) }), seconds);
  const sliding = new Option(t("create.after.read", { time: duration(limits.expiry) }), "");
  $("expiry").append(sliding, ...[...common, limits.max_expiry].map(choice));
}

/** Shows what will be sent: the text, or the files and a preview of one picture. */
function showChoice() {
  const files = chosen();
  const url = $("picture").src;
  if (url) URL.revokeObjectURL(url);
  $("picture").removeAttribute("src");
  show("remove", files.length > 0);
  show("preview", isPicture(files));
  if (isPicture(files)) $("picture").src = URL.createObjectURL(files[0].blob);
  const listed = files.slice(0, LISTED).flatMap(({ name, blob }) => [", ", ...withMarks(name), ` (${size(blob.size)})`]);
  if (files.length > LISTED) listed.push(", ", t("create.more", { count: files.length - LISTED }));
  $("chosen").replaceChildren(...listed.slice(1));
  show("chosen", files.length > 0);
  showOptions();
  say("problem", "");
}

/** Takes what was dropped or pasted, where there is room for it. */
function take({ files, items }) {
  if (sending) return;
  if (current && isAtRisk()) return say("gone", missing());
  if (current) startAgain();
  // They are gone once this function has returned.
  const entries = Array.from(items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.some((entry) => entry.isDirectory)) return takeFolders(entries);
  const all = new DataTransfer();
  for (const file of files) all.items.add(file);
  dropped = null;
  $("file").files = all.files;
  showChoice();
}

async function takeFolders(entries) {
  try {
    const found = (await Promise.all(entries.map(filesBelow))).flat();
    $("file").value = "";
    dropped = found;
    showChoice();
    if (found.length === 0) removeFiles();
  } catch {
    say("problem", t("create.folder"));
  }
}

/** The files of a folder, or the file itself, under names that begin with its own. */
async function filesBelow(entry) {
  if (entry.isFile) {
    const blob = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    return [{ name: entry.fullPath.slice(1), blob }];
  }
  let [reader, found] = [entry.createReader(), []];
  for (;;) {
    // It gives a hundred at a time.
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (some.length === 0) return found;
    for (const one of some) found = found.concat(await filesBelow(one));
  }
}

function removeFiles() {
  dropped = null;
  $("file").value = "";
  showChoice();
  $("text").focus();
}

/** An expiry may come out so many seconds later than it was asked for. */
const LATE_SECONDS = 60;

/** What is sent, if there is any and all of it can be read: `{ name, type, blob }` each. */
async function parts() {
  const files = chosen();
  if (files.length === 0) {
    if (!$("text").value) throw new Error(t("create.nothing"));
    return [{ type: "text/plain; charset=utf-8", blob: new Blob([$("text").value]) }];
  }
  for (const { name, blob } of files) {
    // A byte tells what would fail later, after a proof of work.
    await blob.slice(0, 1).arrayBuffer().catch(() => { throw new Error(t("create.unreadable", { name: cleaned(name) })); });
  }
  const isNamed = files.length > 1 || !$("nameless").checked;
  return files.map(({ name, blob }) => ({ name: isNamed ? name : undefined, type: blob.type || undefined, blob }));
}

/** Refuses before anything is sent what the server, or a reader, would refuse. */
function check(parts) {
  const names = parts.map(({ name }) => name).filter((name) => name !== undefined);
  const length = parts.reduce((sum, { blob }) => sum + blob.size, 0);
  if (length === 0) throw new Error(t(parts.length > 1 ? "create.empty.all" : "create.empty"));
  if (!isEncrypted()) {
    if (parts.length > 1) throw new Error(t("create.alone"));
    return expectRoom(length, most());
  }
  const bad = manifest.badName(names);
  if (bad) throw new Error(t("create.name", { name: cleaned(bad.name), fault: t(bad.fault) }));
  const bytes = manifestOf(parts);
  if (!manifest.fits(parts, bytes)) throw new Error(t("create.toomany", { count: manifest.MAX_FILES }));
  expectRoom(length, roomIn(most()) - 4 - bytes.length);
}

function expectRoom(length, room) {
  if (length > room) throw new Error(t("create.large", { size: size(length), most: size(Math.max(0, room)) }));
}

const wishedReads = () => ($("burn").checked ? 1 : Number($("reads").value) || undefined);

/** The manifest of what is sent, with what the server is asked for, so that a reader sees whether it complies. */
const manifestOf = (parts) => manifest.write({
  files: parts.map(({ name, type, blob }) => ({ name, type, size: blob.size })),
  reads: wishedReads(),
  expires_at: $("expiry").value ? Math.floor(Date.now() / 1000) + Number($("expiry").value) : undefined,
});

/** The body of a paste, and the headers and the fragment that go with it. */
async function sealed(parts) {
  const key = keys.random(32);
  const secrets = await keys.derive(key, $("password").value);
  const bytes = manifestOf(parts);
  const length = parts.reduce((sum, { blob }) => sum + blob.size, 4 + bytes.length);
  // Never past a limit that it keeps without.
  const padding = Math.max(0, Math.min(padded(length), roomIn(most())) - length);
  const plain = manifest.pack(bytes, parts.map(({ blob }) => blob), padding);
  return { body: await seal(secrets.root, plain), fields: await keys.gate(secrets), fragment: keys.encode(key) };
}

/** The same of one that the server can read. */
function open(parts) {
  return { body: parts[0].blob, fields: $("password").value ? passwordHeader($("password").value) : {} };
}

function headers() {
  // Whatever it is: the server tells pictures and text by their bytes, and would take JSON for instructions.
  const fields = { "Content-Type": "application/octet-stream" };
  if ($("expiry").value) fields["X-Expiry"] = $("expiry").value;
  if ($("burn").checked) fields["X-Burn-After-Read"] = "true";
  else if (wishedReads()) fields["X-Reads"] = wishedReads();
  return fields;
}

/** The headers of a solved challenge, where the server asks for one. */
async function prove(signal) {
  const challenge = await (await request("GET", "/challenge", { signal })).json();
  if (!challenge.enabled) return {};
  const expected = 2 ** challenge.difficulty;
  tell(t("create.proving"));
  const solution = await solve(challenge, (tried) => showProgress(1 - Math.exp(-tried / expected)), signal);
  showProgress(0);
  return { "X-PoW-Token": challenge.token, "X-PoW-Solution": solution };
}

async function create(signal) {
  const all = await parts();
  check(all);
  const token = access.bearer();
  const proof = pow.required ? await prove(signal) : {};
  tell(isEncrypted() ? t("create.encrypting") : "");
  const { body, fields, fragment } = isEncrypted() ? await sealed(all) : open(all);
  tell(t("create.sending"));
  const created = await upload(body, { headers: { ...headers(), ...fields, ...proof, ...token }, signal, progress: showProgress });
  if (!created.id) throw new Error(sentences(t("api.unreadable"), t("create.lost")));
  tokens.keep(created.id, created.delete_token, created.expires_at);
  const faults = undone(created);
  if (faults.length > 0) throw new Error(sentences(...faults, await withdraw(created), t("create.dropped")));
  return { ...created, fragment, size: all.reduce((sum, { blob }) => sum + blob.size, 0) };
}

/** What the server does not do of what it was asked for, a sentence each. */
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

/** Takes back what was made; what has become of it. */
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
  if (sending) return;
  sending = new AbortController();
  say("problem", "");
  setBusy(true);
  let refusal = "";
  try {
    showResult(await create(sending.signal));
  } catch (error) {
    if (error.name !== "AbortError") say("problem", sentence(error));
    refusal = error.code;
  }
  sending = null;
  setBusy(false);
  // It was disabled meanwhile, and Cancel is gone: the keyboard goes on where it was.
  if (refusal === "token_invalid") access.refused();
  else if (!current) $("send").focus();
}

function sentence(error) {
  if (error.code === "entropy_too_low") return t("create.entropy");
  if (error.code === "token_invalid") return t("create.token.unknown");
  if (error.code === "pow_expired") return t("create.slow");
  return error.message;
}

function setBusy(busy) {
  for (const field of $("create").elements) field.disabled = busy && field.id !== "cancel";
  if (!busy) showOptions();
  show("cancel", busy);
  showProgress(0);
  tell("");
}

/** What cannot be chosen, is not. */
function showOptions() {
  const files = chosen();
  $("text").disabled = files.length > 0;
  $("encrypt").disabled = !keys.available;
  $("reads").disabled = $("burn").checked;
  show("unsent", files.length > 0 && $("text").value);
  show("readable", keys.available && !isEncrypted());
  show("nameless-row", files.length === 1 && isEncrypted());
}

function showResult(created) {
  const link = new URL(created.url, location.href).href + (created.fragment ? `#${created.fragment}` : "");
  $("secret").value = $("password").value;
  show("locked", $("password").value);
  // What was written beside a file that went instead stays.
  const unsent = chosen().length > 0 ? $("text").value : "";
  dropped = null;
  $("create").reset();
  access.offer();
  hidePasswords();
  $("text").value = unsent;
  $("encrypt").checked = keys.available;
  showChoice();
  $("link").value = link;
  $("open").href = link;
  $("about").textContent = t(created.fragment ? "create.sealed" : "create.plain");
  // The content stays encrypted, but anybody can fetch or burn it.
  const isOpen = created.fragment && !created.proof_required;
  say("lacks", isOpen ? sentences(t("create.ungated"), t("create.dropped")) : "");
  $("facts").textContent = facts(created);
  $("qr").replaceChildren(...drawQr(link));
  show("create", false);
  show("result", true);
  say("gone", "");
  scrollTo(0, 0);
  $("done").focus({ preventScroll: true });
  current = created;
  isLinkKept = false;
  receipts.follow(created, () => current === created);
  setAddress(link, `${t("create.title", { id: created.id })} · flaskpaste`);
}

/** Puts the link into the address bar: a page that is closed by mistake and opened again is that of the paste. */
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

/** Says so when the paste that is shown has expired. */
function expireAt(created) {
  const left = created.expires_at * 1000 - Date.now();
  // Timers count no further than 24 days.
  if (left < 2 ** 31) setTimeout(() => {
    if (current !== created) return;
    isLinkKept = isSecretKept = true;
    $("facts").textContent = t("create.expired", { when: moment(created.expires_at) });
  }, left);
}

function drawQr(text) {
  const code = encodeQr(text);
  if (!code) return [];
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  const edge = code.length + 8;
  svg.setAttribute("viewBox", `0 0 ${edge} ${edge}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", t("create.qr"));
  const dark = code.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x + 4} ${y + 4}h1v1h-1z` : "")));
  path.setAttribute("d", dark.join(""));
  svg.append(path);
  return [svg];
}

function copyLink() {
  const copied = copy($("link").value);
  if (!copied) $("link").select();
  isLinkKept ||= copied;
  $("copied").textContent = t(copied ? "page.copied" : "create.uncopied");
}

function copySecret() {
  const copied = copy($("secret").value);
  isSecretKept ||= copied;
  $("copied").textContent = t(copied ? "create.copied.password" : "create.uncopied.password");
}

/** Opens the link here. It stands in the address bar already, where following it would change nothing. */
function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  isLinkKept = true;
  if ($("link").value === location.href) location.reload(); else location.assign($("link").value);
}

/** A password of 100 random bits, in groups that can be read to somebody. */
function generate() {
  const letters = Array.from(crypto.getRandomValues(new Uint8Array(20)), (byte) => LETTERS[byte & 31]).join("");
  $("password").value = letters.match(/.{5}/g).join("-");
  revealPassword(true);
  isSecretKept = false;
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
  for (const field of ["link", "secret"]) $(field).value = "";
  $("open").removeAttribute("href");
  $("copied").textContent = "";
  $("qr").replaceChildren();
  show("result", false);
  show("create", true);
  tell("");
  $("text").focus();
}

/** Whether something would be lost with this page. */
const isAtRisk = () => Boolean(current ? missing() : sending || $("text").value || chosen().length);

/** What to do about what nobody has yet of the result; "" for nothing. */
const missing = () => (!isLinkKept ? t("create.first.link") : isSecretKept ? "" : t("create.first.password"));

const revealPassword = reveals($("reveal"), $("password"));
const revealSecret = reveals($("reveal-secret"), $("secret"));

function begin() {
  offerExpiries();
  access.offer();
  $("encrypt").checked = keys.available;
  $("https").href = secureAddress();
  show("insecure", !keys.available);
  showChoice();
  on("create", "submit", (event) => { event.preventDefault(); send(); });
  on("text", "keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("create").requestSubmit();
  });
  on("file", "change", () => { dropped = null; showChoice(); });
  on("remove", "click", removeFiles);
  for (const field of ["burn", "encrypt"]) on(field, "change", showOptions);
  on("cancel", "click", () => sending?.abort());
  on("generate", "click", generate);
  on("copy", "click", copyLink);
  on("copy-secret", "click", copySecret);
  on("open", "click", follow);
  on("link", "copy", () => { isLinkKept = true; });
  on("password", "input", () => { isSecretKept = true; });
  for (const [field, event] of [["password", "copy"], ["secret", "copy"], ["reveal-secret", "click"]]) {
    on(field, event, () => { isSecretKept = true; });
  }
  on("link", "focus", () => $("link").select());
  twice($("again"), t("create.again.sure"), startAgain, isAtRisk);
  twice($("delete"), t("page.delete.sure"), remove);
  const invite = (invited) => document.body.classList.toggle("invited", invited);
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    invite(true);
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) invite(false); });
  addEventListener("drop", (event) => {
    invite(false);
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    take(event.dataTransfer);
  });
  addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData.files.length > 0 && !clipboardData.types.includes("text/plain")) take(clipboardData);
  });
}

begin();
receipts.offer();
guard(isAtRisk);
isStarted();
