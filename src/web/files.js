// The file list of a sealed paste: names, types, sizes and downloads.
//
// Invariant: names and types come from the sender and are shown as text with nothing hidden. A download has a type no
// browser runs, and a name without a folder. Must never put a name into an archive that escapes its folder.

import { button, make } from "./page.js";
import { cleaned } from "./content.js";
import { withMarks } from "./lines.js";
import { size, t } from "./words.js";
import { fits, zip } from "./zip.js";

/** The most characters shown of a name or type. */
const SHOWN_LETTERS = 200;

/** The name for saving a file: without folders and deceptive characters. */
export const savedName = (name) => cleaned(name.slice(name.lastIndexOf("/") + 1));

/** All files as one archive; null if they are too large. */
export async function archive(files) {
  const named = distinct(files);
  return fits(named) ? zip(named) : null;
}

/** The files with deceptive characters removed from their names; collisions are numbered. */
function distinct(files) {
  const [taken, folders, numbers] = [new Set(), new Set(), new Map()];
  const above = (name) => Array.from(name.matchAll(/\//g), ({ index }) => name.slice(0, index));
  const isFree = (name) => !taken.has(name) && !folders.has(name) && !above(name).some((folder) => taken.has(folder));
  const take = (name) => { taken.add(name); for (const folder of above(name)) folders.add(folder); };
  // Names that need no change keep priority.
  for (const { name } of files) if (cleaned(name) === name) take(name.toLowerCase());
  return files.map((file) => {
    const first = cleaned(file.name);
    if (first === file.name) return file;
    let [name, number] = [first, numbers.get(first) ?? 1];
    while (!isFree(name.toLowerCase())) name = cleaned(file.name, `_${++number}`);
    numbers.set(first, number);
    take(name.toLowerCase());
    return { ...file, name };
  });
}

/** A name or type for display, truncated. */
const short = (text) => (text.length > SHOWN_LETTERS ? `${text.slice(0, SHOWN_LETTERS)}…` : text);

/** The description of a file. */
export function describe({ name, type }) {
  const parts = name === undefined ? [] : withMarks(short(name));
  return type === undefined ? parts : [...parts, name === undefined ? "" : ", ", ...withMarks(short(type))];
}

/** Saves a file. */
export function save(blob, name) {
  const link = make("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download has started by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** Fills the list; calls `view` for a file to show, and `saved` after a download. */
export function list(place, files, view, saved) {
  place.replaceChildren(...files.map((file) => {
    const item = make("li");
    const words = make("span");
    words.append(...describe(file), `, ${size(file.size)}`);
    const download = () => { save(file.blob, savedName(file.name)); saved(file); };
    const name = short(file.name);
    const buttons = make("div");
    buttons.append(button(t("page.show"), () => view(file), t("paste.show.file", { name })), " ",
      button(t("paste.download"), download, t("paste.download.file", { name })));
    item.append(words, buttons);
    return item;
  }));
}
