// The text on the page of a paste, with the lines its link names.
//
// Invariant: a long text is shown in part, with a notice; the linked lines are always shown. Must never change the text:
// copying gives what was sent.

import { $, button, on, say } from "./page.js";
import * as colours from "./colour.js";
import * as lines from "./lines.js";
import { sentences, t } from "./words.js";

/** The lines of the text, and the highlighted ones: `{ from, to }` or null. */
let [all, marked] = [[], null];

/** Shows a text; `name` is that of its file, if any; see `mark`. */
export function showText(text, range, file) {
  all = lines.split(text);
  colours.recognise(file, text);
  showFrom(0, false);
  mark(range);
}

/** Shows the text from a line on, or the whole text. */
function showFrom(first, isWhole) {
  const { end, isCut } = lines.render($("text"), all, first, isWhole);
  colour();
  const count = all.length;
  if (first === 0 && end === count && !isCut) return say("rest", "");
  const part = first === 0 ? t("paste.rest.first", { end, count }) : t("paste.rest", { first: first + 1, end, count });
  say("rest", `${sentences(part, isCut && t("paste.rest.cut"), t("paste.rest.whole"))} `);
  const showAll = () => { showFrom(0, true); mark(marked); $("text").focus({ preventScroll: true }); };
  $("rest").append(button(t("paste.rest.show"), showAll));
}

const colour = () => colours.colour(all, (number) => lines.row($("text"), number));

/** Removes the text from the page and from memory. */
export function forgetText() {
  all = [];
  colours.forget();
  $("text").replaceChildren();
}

/** Highlights and shows lines, `{ from, to }` or none; returns whether they exist. */
export function mark(range) {
  marked = range;
  if (range && range.from <= all.length && !lines.isShown($("text"), range)) showFrom(lines.before(all, range.from), false);
  $("lines").value = range ? lines.formatRange(range).replaceAll("L", "") : "";
  return lines.mark($("text"), range);
}

/** Calls `choose` with lines clicked or entered; it returns whether they exist. */
export function listen(choose) {
  const enter = () => {
    const text = $("lines").value;
    const chosen = lines.parseRange(text);
    if (text && !chosen) {
      $("said").textContent = t("paste.lines.form");
      return;
    }
    const found = choose(chosen);
    $("said").textContent = found ? t("paste.lines.linked") : chosen ? t("paste.lines.none") : "";
  };
  colours.listen(colour);
  on("lines", "change", enter);
  on("lines", "keydown", (event) => { if (event.key === "Enter") enter(); });
  on("text", "click", (event) => {
    const line = lines.clicked($("text"), event);
    if (!line) return;
    const other = event.shiftKey && marked ? marked.from : line;
    choose({ from: Math.min(line, other), to: Math.max(line, other) });
  });
  on("wrap", "click", () => {
    const wraps = $("text").classList.toggle("wrap");
    $("wrap").setAttribute("aria-pressed", wraps);
  });
}
