// A form on its way: what it shows while it sends, and what it was refused with.
//
// Invariant: one thing is sent at a time, and Cancel ends it; the form can be used again whatever became of it.

import { $, on, rest, say, show, showProgress, tell } from "./page.js";

/** What Cancel ends; null while nothing is being sent. */
let current = null;

/** Whether something is being sent. */
export const isSending = () => current !== null;

/** Lets the form be, while what it sends is under way: only Cancel does something. */
function setBusy(busy) {
  const button = $("send");
  for (const field of button.form.elements) field.disabled = busy && !["send", "cancel"].includes(field.id);
  show("cancel", busy);
  rest(button, busy);
  // Where it was pressed, or instead of a field that is disabled; not at Cancel, which the same key would press.
  if (busy) button.focus();
  showProgress(0);
  tell("");
}

/** Does `work`, which is given a signal; what it was refused with, or null. `sentence` has the words for that. */
export async function send(work, sentence) {
  current = new AbortController();
  say("problem", "");
  setBusy(true);
  const refusal = await work(current.signal).then(() => null, (error) => error);
  if (refusal && refusal.name !== "AbortError") say("problem", sentence(refusal));
  current = null;
  setBusy(false);
  return refusal;
}

/** Calls `submit` when the form is to be sent. */
export function listen(submit) {
  $("send").form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!current) submit();
  });
  on("cancel", "click", () => current?.abort());
}
