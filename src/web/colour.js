// Colours for the code on the page of a paste.
//
// Invariant: colours are ranges beside the text (CSS Custom Highlight API), which stays as it is; they come after it, in
// pieces, and where somebody looks. Must never keep a text that is forgotten.

import { $, make, show } from "./page.js";
import { KINDS, NAMES, guess, parts } from "./languages.js";
import { t } from "./words.js";

/** Of a longer text, nothing is coloured. */
const MOST_LETTERS = 500_000;
/** A longer line stays plain: it is no code that somebody wrote, and a line is painted at once. */
const LINE_LETTERS = 5_000;
/** So many parts of a block of lines are coloured: a page that stands still helps nobody. */
const BLOCK_PARTS = 5_000;
/** The page has its turn after so long. */
const SLICE_MS = 8;

/** The ranges of each kind; null in a browser that cannot, or that is told to force colours: it would paint all of them like selected text. */
const highlights = matchMedia("(forced-colors: active)").matches ? null : CSS.highlights ?? null;
if (highlights) for (const kind of KINDS) highlights.set(kind, new Highlight());

/** Counts the texts: work for an earlier one stops. */
let turn = 0;
/** The parts of each block, `[kind, row, from, to]`, and those of the blocks in view as `[kind, range]`. */
let [known, painted] = [new Map(), new Map()];

const observer = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) if (isIntersecting) paint(target); else unpaint(target);
}, { rootMargin: "100%" });

/** Builds the choice of a language; `painting` is called when another was chosen. */
export function listen(painting) {
  const choice = make("select");
  choice.id = "syntax";
  choice.append(new Option(t("paste.plain"), ""), ...NAMES.map((name) => new Option(name)));
  choice.addEventListener("change", painting);
  $("colours").append(t("paste.syntax"), " ", choice);
}

/** Guesses the language of a text that is shown next, in a file of this name. */
export function recognise(file, text) {
  const isColoured = highlights && text.length <= MOST_LETTERS;
  $("syntax").value = isColoured ? guess(file, text) : "";
  show("colours", isColoured);
}

/** Takes all colours away, and what is known of the text. */
export function forget() {
  turn++;
  observer.disconnect();
  known.clear();
  painted.clear();
  highlights?.forEach((highlight) => highlight.clear());
}

/** Colours lines in their rows; `rowOf` has the row of a line, if it is shown. Once the text itself is to be seen. */
export function colour(lines, rowOf) {
  forget();
  const language = $("syntax").value;
  if (!language) return;
  const [own, work] = [turn, find(lines, rowOf, language)];
  const go = () => {
    const end = performance.now() + SLICE_MS;
    while (own === turn && performance.now() < end) if (work.next().done) return;
    if (own === turn) setTimeout(go);
  };
  requestAnimationFrame(() => setTimeout(go));
}

/** Finds the parts of all lines, and watches each block that is complete. */
function* find(lines, rowOf, language) {
  const texts = lines.map((line) => (line.length > LINE_LETTERS ? "" : line));
  let [number, start, row, block] = [0, 0, null, null];
  const enter = () => {
    row = rowOf(number + 1);
    if (row?.parentElement === block) return;
    if (block) observer.observe(block);
    block = row?.parentElement;
    if (block) known.set(block, []);
  };
  enter();
  for (const [kind, from, to] of parts(texts.join(""), language)) {
    for (let at = from, end; at < to; at = end) {
      for (; at >= start + texts[number].length; enter()) start += texts[number++].length;
      end = Math.min(to, start + texts[number].length);
      if (kind && row) known.get(block).push([kind, row, at - start, end - start]);
      yield;
    }
  }
  if (block) observer.observe(block);
}

/** Colours a block; one that has its colours, or has become another's, is told of once more now and then. */
function paint(block) {
  unpaint(block);
  let [row, place] = [null, null];
  const ranges = (known.get(block) ?? []).slice(0, BLOCK_PARTS).map(([kind, inRow, from, to]) => {
    if (inRow !== row) [row, place] = [inRow, places(inRow)];
    const [startContainer, startOffset] = place(from);
    const [endContainer, endOffset] = place(to);
    return [kind, new StaticRange({ startContainer, startOffset, endContainer, endOffset })];
  });
  for (const [kind, range] of ranges) highlights.get(kind).add(range);
  painted.set(block, ranges);
}

function unpaint(block) {
  for (const [kind, range] of painted.get(block) ?? []) highlights.get(kind).delete(range);
  painted.delete(block);
}

/** Where letters of a row are: a node and the place in it, for one place after the other. */
function places(row) {
  const texts = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
  let [node, passed] = [texts.nextNode(), 0];
  return (at) => {
    while (at > passed + node.length) {
      const next = texts.nextNode();
      // A line that is cut has less than the text.
      if (!next) return [node, node.length];
      passed += node.length;
      node = next;
    }
    return [node, at - passed];
  };
}
