// Shows a new link so that it can be copied, shared, or scanned.
//
// Invariant: the link leaves the page only when the user acts. Must never be put into a request.

import { $, copy, on, show } from "./page.js";
import { encode } from "./qr.js";
import { t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** Shows a link with its QR code. */
export function showLink(link) {
  $("link").value = link;
  $("qr").replaceChildren(...drawQr(link));
}

/** Forgets the link. */
export function forgetLink() {
  $("link").value = "";
  $("copied").textContent = "";
  $("qr").replaceChildren();
}

/** Calls `kept` once the link was copied or shared. */
export function listen(kept) {
  on("copy", "click", () => {
    const copied = copy($("link").value);
    if (copied) kept(); else $("link").select();
    $("copied").textContent = t(copied ? "page.copied" : "create.uncopied");
  });
  on("link", "copy", kept);
  // Not every system can share.
  show("share", navigator.canShare?.({ url: location.href }));
  on("share", "click", async () => {
    $("copied").textContent = "";
    try {
      await navigator.share({ url: $("link").value });
      kept();
    } catch (error) {
      // The user cancelled.
      if (error.name !== "AbortError") $("copied").textContent = t("create.unshared");
    }
  });
  on("link", "focus", () => $("link").select());
}

function drawQr(text) {
  const code = encode(text);
  if (!code) return [];
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  const edge = code.length + 8;
  svg.setAttribute("viewBox", `0 0 ${edge} ${edge}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", t("create.qr"));
  const dark = code.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x + 4} ${y + 4}h1v1h-1z` : "")));
  path.setAttribute("d", dark.join(""));
  svg.append(path);
  return [svg];
}
