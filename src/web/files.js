// The files of a sealed paste, as a list: names, types, sizes, and a download each.
//
// Invariant: names and types are what the sender says, and are shown as text in which nothing is hidden. A download has a
// type that no browser runs, and a name without a folder.

import { size } from "./page.js";
import { oddities } from "./content.js";
import { withMarks } from "./lines.js";

/** The name a file is saved under: its own, without its folders and without what deceives. */
export function savedName(name) {
  const base = name.slice(name.lastIndexOf("/") + 1);
  return [...oddities(base)].reduceRight((text, { at, run }) => text.slice(0, at) + "_" + text.slice(at + run.length), base);
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
