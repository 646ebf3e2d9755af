// The files of a sealed paste, as a list: names, types, sizes, and a download each.
//
// Invariant: names and types are what the sender says, and are shown as text in which nothing is hidden. A download has a
// type that no browser runs, and a name without a folder; must never let a name into an archive that leads out of it.

import { button, make } from "./page.js";
import { cleaned } from "./content.js";
import { withMarks } from "./lines.js";
import { size, t } from "./words.js";
import { fits, zip } from "./zip.js";

/** So many letters of a name or a type are shown. */
const SHOWN_LETTERS = 200;

/** The name a file is saved under: its own, without its folders and without what deceives. */
export const savedName = (name) => cleaned(name.slice(name.lastIndexOf("/") + 1));

/** All of the files as one archive; null where they are too large for one. */
export async function archive(files) {
  const named = distinct(files);
  return fits(named) ? zip(named) : null;
}

/** The files under names without what deceives. Where that makes two of them one, a number stands in its place. */
function distinct(files) {
  const [taken, folders, numbers] = [new Set(), new Set(), new Map()];
  const above = (name) => Array.from(name.matchAll(/\//g), ({ index }) => name.slice(0, index));
  const isFree = (name) => !taken.has(name) && !folders.has(name) && !above(name).some((folder) => taken.has(folder));
  const take = (name) => { taken.add(name); for (const folder of above(name)) folders.add(folder); };
  // Who has nothing odd in its name, keeps it.
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

/** A name or a type as it is shown: no longer than a person reads. */
const short = (text) => (text.length > SHOWN_LETTERS ? `${text.slice(0, SHOWN_LETTERS)}…` : text);

/** What is said of one file. */
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
  // The browser has it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** Fills a list; `view` and `saved` are called with a file that somebody wants to see, or has saved. */
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
