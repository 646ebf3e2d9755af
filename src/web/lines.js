// A text with line numbers, and links to its lines.
//
// Invariant: what is shown is text nodes, and together they are the text; a long one is laid out where it is looked at.

const BLOCK = 200;
/** More than this is not shown at once: a page that stands still helps nobody. */
export const SHOWN_LINES = 20000;
const SHOWN_LETTERS = 2 << 20;

/** Shows a text, or the beginning of a long one; the number of lines shown and of all, and whether the last is cut. */
export function render(place, text, all) {
  const lines = text.split("\n");
  // A newline ends the last line; it does not begin another.
  if (lines.length > 1 && lines.at(-1) === "") lines.pop();
  const most = all ? lines.length : Math.min(lines.length, SHOWN_LINES);
  let [shown, letters] = [0, all ? Infinity : SHOWN_LETTERS];
  while (shown < most && letters > 0) letters -= lines[shown++].length;
  const count = { shown, all: lines.length, isCut: letters < 0 };
  if (count.isCut) lines[shown - 1] = lines[shown - 1].slice(0, letters);
  place.replaceChildren();
  place.style.setProperty("--digits", String(shown).length);
  for (let first = 0; first < shown; first += BLOCK) {
    const block = document.createElement("div");
    block.className = "block";
    block.style.counterReset = `line ${first}`;
    block.style.containIntrinsicSize = `auto ${Math.min(BLOCK, shown - first) * 1.5}em`;
    for (const line of lines.slice(first, Math.min(first + BLOCK, shown))) {
      const row = document.createElement("div");
      row.className = "line";
      row.textContent = `${line}\n`;
      block.append(row);
    }
    place.append(block);
  }
  return count;
}

const row = (place, number) => place.children[Math.floor((number - 1) / BLOCK)]?.children[(number - 1) % BLOCK];

/** Marks the lines of `{ from, to }`, or none; whether there are such lines. */
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
    // Firefox takes for nowhere what is left out of the layout while nobody looks at it.
    first.parentElement.style.contentVisibility = "visible";
    first.scrollIntoView({ block: "center" });
  }
  return Boolean(first);
}

/** The number of the line whose number was clicked; null for a click elsewhere. */
export function clicked(place, event) {
  const line = event.target.closest?.(".line");
  const gutter = line ? parseFloat(getComputedStyle(line).paddingLeft) : 0;
  if (!line || event.clientX > line.getBoundingClientRect().left + gutter) return null;
  const block = line.parentElement;
  return [...place.children].indexOf(block) * BLOCK + [...block.children].indexOf(line) + 1;
}

/** Lines from what a person writes, or a link: `12`, `L12`, `12-20`, `L12-L20`; null for anything else. */
export function parseRange(text) {
  const match = /^L?(\d{1,9})(?:-L?(\d{1,9}))?$/.exec(text.trim());
  if (!match) return null;
  const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])].sort((a, b) => a - b);
  return from > 0 ? { from, to } : null;
}

/** The same as a link has it. */
export const formatRange = ({ from, to }) => (from === to ? `L${from}` : `L${from}-L${to}`);

/** What stands behind the # of a link: a key, lines, or `key:lines`. A key has no colon. */
export function parseFragment(fragment) {
  const [first, lines] = fragment.split(":", 2);
  if (lines !== undefined) return { key: first, range: parseRange(lines) };
  const range = first.startsWith("L") ? parseRange(first) : null;
  return { key: range ? "" : first, range };
}
