// The content to send: typed text, or files chosen, dropped or pasted; and the plaintext made from them.
//
// Invariant: nothing here is sent by itself, and anything a reader would reject is rejected before sending. Must never send
// a file that is not named on the page.

import { $, on, say, show } from "./page.js";
import { cleaned } from "./content.js";
import { withMarks } from "./lines.js";
import * as manifest from "./manifest.js";
import { padded, roomIn } from "./sealed.js";
import { size, t } from "./words.js";

/** The most chosen files listed by name. */
const LISTED = 8;

/** Files from a dropped folder or another page, which the input cannot hold; null if the input has the files. */
let dropped = null;
/** Called when the choice changes. */
let changed = () => {};

/** The chosen files: `{ name, blob }` each. */
export const files = () => dropped ?? Array.from($("file").files, (blob) => ({ name: blob.name, blob }));

/** Whether there is nothing to send. */
export const isEmpty = () => !$("text").value && files().length === 0;

/** Whether a single picture is chosen. */
const isPicture = (files) => files.length === 1 && files[0].blob.type.startsWith("image/");

/** Shows what will be sent: the text, or the files, with a preview of a single picture. */
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

/** Shows whether text or files are sent. */
export function showUse() {
  const hasFiles = files().length > 0;
  // Pasted files replace the text field: focus the button that brings it back.
  if (hasFiles && document.activeElement === $("text")) $("remove").focus();
  $("text").disabled = hasFiles;
  for (const part of [$("text"), $("text").labels[0]]) part.hidden = hasFiles && !$("text").value;
  show("unsent", hasFiles && $("text").value);
}

/** Accepts dropped or pasted files. */
function take({ files, items }) {
  // The items are cleared when this function returns.
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

/** The files in a folder, or the file itself, with paths below it. */
async function filesBelow(entry) {
  if (entry.isFile) {
    const blob = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    return [{ name: entry.fullPath.slice(1), blob }];
  }
  let [reader, found] = [entry.createReader(), []];
  for (;;) {
    // Entries come in batches of up to a hundred.
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

/** Fills in content from another page: `{ text }`, or `{ files }` with `{ name, blob }` each. */
export function fill({ text = "", files = null }) {
  $("text").value = text;
  dropped = files;
  showChoice();
}

/** Clears the files. */
export function clear() {
  dropped = null;
  $("file").value = "";
}

/** The parts to send: `{ name, type, blob }` each; throws if there are none or one is unreadable. One file may be nameless. */
export async function parts(isNameless = false) {
  const all = files();
  if (all.length === 0) {
    if (!$("text").value) throw new Error(t("create.nothing"));
    return [{ type: "text/plain; charset=utf-8", blob: new Blob([$("text").value]) }];
  }
  for (const { name, blob } of all) {
    // Read one byte now instead of failing after the proof of work.
    await blob.slice(0, 1).arrayBuffer().catch(() => { throw new Error(t("create.unreadable", { name: cleaned(name) })); });
  }
  const isNamed = all.length > 1 || !isNameless;
  return all.map(({ name, blob }) => ({ name: isNamed ? name : undefined, type: blob.type || undefined, blob }));
}

/** The size of all parts in bytes. Throws if it is zero. */
export function length(parts) {
  const sum = parts.reduce((sum, { blob }) => sum + blob.size, 0);
  if (sum === 0) throw new Error(t(parts.length > 1 ? "create.empty.all" : "create.empty"));
  return sum;
}

/** Throws if the content is too large. */
export function expectRoom(length, room) {
  if (length > room) throw new Error(t("create.large", { size: size(length), most: size(Math.max(0, room)) }));
}

/**
 * The plaintext of an upload of at most `most` bytes: the manifest, which says what the server is asked to do so that readers
 * can check it, then the parts. Throws if the server or a reader would refuse it.
 */
export function pack(parts, wishes, most) {
  const bytes = manifest.write({ files: parts.map(({ name, type, blob }) => ({ name, type, size: blob.size })), ...wishes });
  const bad = manifest.badName(parts.map(({ name }) => name).filter((name) => name !== undefined));
  if (bad) throw new Error(t("create.name", { name: cleaned(bad.name), fault: t(bad.fault) }));
  if (!manifest.fits(parts, bytes)) throw new Error(t("create.toomany", { count: manifest.MAX_FILES }));
  const sum = length(parts);
  expectRoom(sum, roomIn(most) - 4 - bytes.length);
  const whole = sum + 4 + bytes.length;
  // Padding must not push it over the limit.
  const padding = Math.max(0, Math.min(padded(whole), roomIn(most)) - whole);
  return manifest.pack(bytes, parts.map(({ blob }) => blob), padding);
}

/** Handles choosing, dropping and pasting while `accepts` allows it; calls `onChange` when the choice changes. */
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
