// A text with line numbers, and links to its lines.
//
// Invariant: the text is shown as text nodes that add up to exactly it; a long one is laid out only where visible.

import { nameOf, oddities } from "./content.js";
import { make } from "./page.js";

const BLOCK = 200;
/** The most shown at once, so that the page does not freeze. */
const SHOWN_LINES = 20000;
const SHOWN_LETTERS = 2 << 20;
/** A mark costs as much to lay out as this many characters. */
const MARK_LETTERS = 200;
/** Context shown before linked lines. */
const LINES_BEFORE = 100;

/** The lines of a text, each with its newline. */
export const split = (text) => text.match(/[^\n]*\n|[^\n]+$/g) ?? [""];

/** The first line to show so that a line far down is visible: a little before it, but within the limit. */
export function before(lines, number) {
  let [first, letters] = [number - 1, SHOWN_LETTERS / 8];
  while (first > 0 && number - first <= LINES_BEFORE && (letters -= lines[first - 1].length) > 0) first--;
  return first;
}

/** Shows lines from `first` up to the limit; returns the index after the last, and whether that one is truncated. */
export function render(place, lines, first, all) {
  const most = all ? lines.length : Math.min(lines.length, first + SHOWN_LINES);
  let [end, room, isCut] = [first, all ? Infinity : SHOWN_LETTERS, false];
  place.replaceChildren();
  place.dataset.first = first;
  while (end < most && room > 0) {
    const block = make("div");
    block.className = "block";
    block.style.counterReset = `line ${end}`;
    for (const stop = Math.min(end + BLOCK, most); end < stop && room > 0; end++) {
      const { row, left } = renderLine(lines[end], room);
      block.append(row);
      room = left;
    }
    isCut = room < 0;
    block.style.containIntrinsicSize = `auto ${block.children.length * 1.5}em`;
    place.append(block);
  }
  place.style.setProperty("--digits", String(end).length);
  return { end, isCut };
}

/** A line, truncated to the room, and the room left: negative if it was truncated. */
function renderLine(line, room) {
  const text = line.endsWith("\n") ? line : `${line}\n`;
  const found = [...oddities(text.slice(0, room + 1))];
  const left = room - (text.length - 1) - found.length * MARK_LETTERS;
  const stop = left < 0 ? Math.floor(room * text.length / (room - left)) : text.length;
  const row = make("div");
  row.className = "line";
  row.append(...withMarks(text, found.filter((odd) => odd.at < stop), stop), left < 0 ? "\n" : "");
  return { row, left };
}

/** A text up to an offset, with marks at deceptive characters. */
export function withMarks(text, found = [...oddities(text)], stop = text.length) {
  const parts = [];
  let at = 0;
  for (const odd of found) {
    parts.push(text.slice(at, odd.at), marked(odd.run));
    at = odd.at + odd.run.length;
  }
  return [...parts, text.slice(at, Math.max(at, stop))];
}

/** Deceptive characters: present for copying, with their names visible. */
function marked(run) {
  const mark = make("span", run);
  mark.className = "odd";
  mark.dataset.name = nameOf(run);
  return mark;
}

/** The row of a line if it is shown. */
export function row(place, number) {
  const at = number - 1 - Number(place.dataset.first);
  return place.children[Math.floor(at / BLOCK)]?.children[at % BLOCK];
}

/** Whether all lines of `{ from, to }` are shown. */
export const isShown = (place, { from, to }) => Boolean(row(place, from) && row(place, to));

/** Highlights the lines `{ from, to }`, or none; returns whether they exist. */
export function mark(place, range) {
  for (const marked of [...place.querySelectorAll(".marked")]) marked.classList.remove("marked");
  if (!range) return false;
  for (let number = range.from; number <= range.to; number++) {
    const line = row(place, number);
    if (!line) break;
    line.classList.add("marked");
  }
  const first = row(place, range.from);
  if (first) {
    // Firefox has no position for content whose layout is skipped while it is off screen.
    first.parentElement.style.contentVisibility = "visible";
    first.scrollIntoView({ block: "center" });
  }
  return Boolean(first);
}

/** The line whose number was clicked; null for a click elsewhere. */
export function clicked(place, event) {
  const line = event.target.closest?.(".line");
  const gutter = line ? parseFloat(getComputedStyle(line).paddingLeft) : 0;
  if (!line || event.clientX > line.getBoundingClientRect().left + gutter) return null;
  const block = line.parentElement;
  const at = [...place.children].indexOf(block) * BLOCK + [...block.children].indexOf(line);
  return Number(place.dataset.first) + at + 1;
}

/** Parses lines as typed or in a link: `12`, `L12`, `12-20`, `L12-L20`; null for anything else. */
export function parseRange(text) {
  const match = /^L?(\d{1,9})(?:-L?(\d{1,9}))?$/.exec(text.trim());
  if (!match) return null;
  const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])].sort((a, b) => a - b);
  return from > 0 ? { from, to } : null;
}

/** Lines as written in a link. */
export const formatRange = ({ from, to }) => (from === to ? `L${from}` : `L${from}-L${to}`);

/** Parses the part of a link after the #: a key, lines, or `key:lines`. A key has no colon. */
export function parseFragment(fragment) {
  const [first, lines] = fragment.split(":", 2);
  if (lines !== undefined) return { key: first, range: parseRange(lines) };
  const range = first.startsWith("L") ? parseRange(first) : null;
  return { key: range ? "" : first, range };
}
