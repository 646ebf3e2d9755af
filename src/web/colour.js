// Syntax highlighting on the page of a paste.
//
// Invariant: colours are ranges beside the unchanged text (CSS Custom Highlight API), applied after it is shown, in batches
// and only in view. Must never keep a text after it is cleared.

import { $, make, show } from "./page.js";
import { KINDS, NAMES, guess, parts } from "./languages.js";
import { t } from "./words.js";

/** Longer texts are not coloured. */
const MOST_LETTERS = 500_000;
/** Longer lines stay plain: they are generated, and a line is painted in one go. */
const LINE_LETTERS = 5_000;
/** The most coloured tokens per block of lines, so that the page does not freeze. */
const BLOCK_PARTS = 5_000;
/** Yields to the page after this long. */
const SLICE_MS = 8;

/** The ranges of each kind; null if unsupported, or if colours are forced: all would look like selected text. */
const highlights = matchMedia("(forced-colors: active)").matches ? null : CSS.highlights ?? null;
if (highlights) for (const kind of KINDS) highlights.set(kind, new Highlight());

/** The number of the current text; work for earlier ones stops. */
let turn = 0;
/** The tokens of each block, `[kind, row, from, to]`, and those of blocks in view as `[kind, range]`. */
let [known, painted] = [new Map(), new Map()];

const observer = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) if (isIntersecting) paint(target); else unpaint(target);
}, { rootMargin: "100%" });

/** Builds the language menu; calls `painting` when the choice changes. */
export function listen(painting) {
  const choice = make("select");
  choice.id = "syntax";
  choice.append(new Option(t("paste.plain"), ""), ...NAMES.map((name) => new Option(name)));
  choice.addEventListener("change", painting);
  $("colours").append(t("paste.syntax"), " ", choice);
}

/** Guesses the language of the text to show next, from this file name. */
export function recognise(file, text) {
  const isColoured = highlights && text.length <= MOST_LETTERS;
  $("syntax").value = isColoured ? guess(file, text) : "";
  show("colours", isColoured);
}

/** Clears all colours and forgets the text. */
export function forget() {
  turn++;
  observer.disconnect();
  known.clear();
  painted.clear();
  highlights?.forEach((highlight) => highlight.clear());
}

/** Colours lines, once the text is visible; `rowOf` returns the row of a line if it is shown. */
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

/** Tokenises all lines, and observes each complete block. */
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

/** Colours a block; the observer may report a block again that is already coloured or outdated. */
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

/** Maps offsets in a row, in ascending order, to a node and an offset in it. */
function places(row) {
  const texts = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
  let [node, passed] = [texts.nextNode(), 0];
  return (at) => {
    while (at > passed + node.length) {
      const next = texts.nextNode();
      // A truncated line is shorter than its text.
      if (!next) return [node, node.length];
      passed += node.length;
      node = next;
    }
    return [node, at - passed];
  };
}
