// The files of a sealed paste, as a list: names, types, sizes, and a download each.
//
// Invariant: names and types are what the sender says, and are shown as text in which nothing is hidden. A download has a
// type that no browser runs, and a name without a folder; must never let a name into an archive that leads out of it.

import { size } from "./page.js";
import { oddities } from "./content.js";
import { withMarks } from "./lines.js";
import { badName } from "./manifest.js";
import { fits, zip } from "./zip.js";

/** A name without what deceives. */
const cleaned = (name) =>
  [...oddities(name)].reduceRight((text, { at, run }) => text.slice(0, at) + "_" + text.slice(at + run.length), name);

/** The name a file is saved under: its own, without its folders and without what deceives. */
export const savedName = (name) => cleaned(name.slice(name.lastIndexOf("/") + 1));

/** All of the files as one archive; null where they are too large for one. */
export async function archive(files) {
  const names = files.map(({ name }) => cleaned(name));
  // Where two would become one, they keep what deceives.
  const named = badName(names) ? files : files.map((file, at) => ({ ...file, name: names[at] }));
  return fits(named) ? zip(named) : null;
}

/** What is said of one file. */
export function describe({ name, type }) {
  const parts = name === undefined ? [] : withMarks(name);
  return type === undefined ? parts : [...parts, name === undefined ? "" : ", ", ...withMarks(type)];
}

/** Saves a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function button(word, file, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = word;
  made.setAttribute("aria-label", `${word} ${file.name}`);
  made.addEventListener("click", action);
  return made;
}

/** Fills a list; `view` and `saved` are called with a file that somebody wants to see, or has saved. */
export function list(place, files, view, saved) {
  place.replaceChildren(...files.map((file) => {
    const item = document.createElement("li");
    const words = document.createElement("span");
    words.append(...describe(file), `, ${size(file.size)}`);
    const download = () => { save(file.blob, savedName(file.name)); saved(file); };
    item.append(words, button("Show", file, () => view(file)), button("Download", file, download));
    return item;
  }));
}
