// What is to be sent: a text that was written, or files that were chosen, dropped or pasted; and the plaintext they make.
//
// Invariant: what is here goes nowhere by itself, and what a reader would refuse is refused before it is sent. Must never
// send a file along that is not named on the page.

import { $, on, say, show } from "./page.js";
import { cleaned } from "./content.js";
import { withMarks } from "./lines.js";
import * as manifest from "./manifest.js";
import { padded, roomIn } from "./sealed.js";
import { size, t } from "./words.js";

/** So many of the files that were chosen are named. */
const LISTED = 8;

/** What was dropped with a folder in it, or given by another page, which the field cannot hold; null where the field has what was chosen. */
let dropped = null;
/** Called when something else is chosen. */
let changed = () => {};

/** The files that are chosen: `{ name, blob }` each. */
export const files = () => dropped ?? Array.from($("file").files, (blob) => ({ name: blob.name, blob }));

/** Whether there is nothing to send. */
export const isEmpty = () => !$("text").value && files().length === 0;

/** Whether what is chosen is one picture. */
const isPicture = (files) => files.length === 1 && files[0].blob.type.startsWith("image/");

/** Shows what will be sent: the text, or the files and a preview of one picture. */
export function showChoice() {
  const all = files();
  const url = $("picture").src;
  if (url) URL.revokeObjectURL(url);
  $("picture").removeAttribute("src");
  show("remove", all.length > 0);
  show("preview", isPicture(all));
  if (isPicture(all)) $("picture").src = URL.createObjectURL(all[0].blob);
  const listed = all.slice(0, LISTED).flatMap(({ name, blob }) => [", ", ...withMarks(name), ` (${size(blob.size)})`]);
  if (all.length > LISTED) listed.push(", ", t("create.more", { count: all.length - LISTED }));
  $("chosen").replaceChildren(...listed.slice(1));
  show("chosen", all.length > 0);
  showUse();
  say("problem", "");
  changed();
}

/** Shows which of text and files is sent. */
export function showUse() {
  const hasFiles = files().length > 0;
  // What was pasted into it takes its place: the keyboard goes on at the button that brings it back.
  if (hasFiles && document.activeElement === $("text")) $("remove").focus();
  $("text").disabled = hasFiles;
  for (const part of [$("text"), $("text").labels[0]]) part.hidden = hasFiles && !$("text").value;
  show("unsent", hasFiles && $("text").value);
}

/** Takes files that were dropped or pasted. */
function take({ files, items }) {
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
    if (found.length === 0) remove();
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

function remove() {
  clear();
  showChoice();
  $("text").focus();
}

/** Fills in what another page gave: `{ text }`, or `{ files }` with `{ name, blob }` each. */
export function fill({ text = "", files = null }) {
  $("text").value = text;
  dropped = files;
  showChoice();
}

/** Forgets the files. */
export function clear() {
  dropped = null;
  $("file").value = "";
}

/** What is sent, if there is any and all of it can be read: `{ name, type, blob }` each. One file may go without its name. */
export async function parts(isNameless = false) {
  const all = files();
  if (all.length === 0) {
    if (!$("text").value) throw new Error(t("create.nothing"));
    return [{ type: "text/plain; charset=utf-8", blob: new Blob([$("text").value]) }];
  }
  for (const { name, blob } of all) {
    // A byte tells what would fail later, after a proof of work.
    await blob.slice(0, 1).arrayBuffer().catch(() => { throw new Error(t("create.unreadable", { name: cleaned(name) })); });
  }
  const isNamed = all.length > 1 || !isNameless;
  return all.map(({ name, blob }) => ({ name: isNamed ? name : undefined, type: blob.type || undefined, blob }));
}

/** The bytes of all parts. Throws where there are none. */
export function length(parts) {
  const sum = parts.reduce((sum, { blob }) => sum + blob.size, 0);
  if (sum === 0) throw new Error(t(parts.length > 1 ? "create.empty.all" : "create.empty"));
  return sum;
}

/** Refuses what is longer than there is room for. */
export function expectRoom(length, room) {
  if (length > room) throw new Error(t("create.large", { size: size(length), most: size(Math.max(0, room)) }));
}

/**
 * The plaintext of an upload of at most `most` bytes: the parts behind their manifest, which says what the server is asked for,
 * so that a reader sees whether it complies. Throws what the server, or a reader, would refuse.
 */
export function pack(parts, wishes, most) {
  const bytes = manifest.write({ files: parts.map(({ name, type, blob }) => ({ name, type, size: blob.size })), ...wishes });
  const bad = manifest.badName(parts.map(({ name }) => name).filter((name) => name !== undefined));
  if (bad) throw new Error(t("create.name", { name: cleaned(bad.name), fault: t(bad.fault) }));
  if (!manifest.fits(parts, bytes)) throw new Error(t("create.toomany", { count: manifest.MAX_FILES }));
  const sum = length(parts);
  expectRoom(sum, roomIn(most) - 4 - bytes.length);
  const whole = sum + 4 + bytes.length;
  // Never past a limit that it keeps without.
  const padding = Math.max(0, Math.min(padded(whole), roomIn(most)) - whole);
  return manifest.pack(bytes, parts.map(({ blob }) => blob), padding);
}

/** Takes what somebody chooses, drops or pastes, where `accepts` does; `onChange` is called when something else is chosen. */
export function listen(accepts, onChange) {
  changed = onChange;
  showChoice();
  on("file", "change", () => { dropped = null; showChoice(); });
  on("remove", "click", remove);
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
    if (accepts()) take(event.dataTransfer);
  });
  addEventListener("paste", ({ clipboardData }) => {
    const hasFiles = clipboardData.files.length > 0 && !clipboardData.types.includes("text/plain");
    if (hasFiles && accepts()) take(clipboardData);
  });
  on("text", "keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("text").form.requestSubmit();
  });
}
