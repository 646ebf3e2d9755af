// Form submission: progress, cancelling and errors.
//
// Invariant: one submission runs at a time, and Cancel ends it; afterwards the form is usable again, whatever the outcome.

import { $, on, rest, say, show, showProgress, tell } from "./page.js";

/** The AbortController for Cancel; null while nothing is sent. */
let current = null;

/** Whether something is being sent. */
export const isSending = () => current !== null;

/** Disables or enables the form for a submission: only Cancel stays active. */
function setBusy(busy) {
  const button = $("send");
  for (const field of button.form.elements) field.disabled = busy && !["send", "cancel"].includes(field.id);
  show("cancel", busy);
  rest(button, busy);
  // Keep focus on the button, or move it there from a disabled field; not to Cancel, which the same key would press.
  if (busy) button.focus();
  showProgress(0);
  tell("");
}

/** Runs `work` with an abort signal; returns its error or null. `sentence` turns the error into a message. */
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

/** Calls `submit` when the form is submitted. */
export function listen(submit) {
  $("send").form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!current) submit();
  });
  on("cancel", "click", () => current?.abort());
}
