// The token for creating pastes on a server that requires one.
//
// Invariant: it is sent only with a create, and stored in this browser only if its owner agrees. Must never be kept after the
// server has rejected it.

import { $, answer, say, show } from "./page.js";
import { t } from "./words.js";

const PLACE = "flaskpaste-token";
/** The last token entered, while this page is open. */
let last = "";
/** Whether this visitor needs a token. */
const isNeeded = answer.create === "token" && !answer.authenticated;

function kept() {
  try {
    return localStorage.getItem(PLACE) ?? "";
  } catch {
    return "";
  }
}

function keep(token) {
  try {
    if (token) localStorage.setItem(PLACE, token); else localStorage.removeItem(PLACE);
  } catch {
    // Storage is full or blocked: the token has to be entered again next time.
  }
}

const entered = () => $("token").value.trim();

const lacksToken = () => isNeeded && !entered();

/** Whether a token is sent, which allows larger pastes. */
export const hasToken = () => isNeeded && entered() !== "";

/** The header for a create. Throws if the token is missing. */
export function bearer() {
  if (!isNeeded) return {};
  if (lacksToken()) throw new Error(t("create.token.missing"));
  last = entered();
  keep($("keep-token").checked ? last : "");
  return { Authorization: `Bearer ${entered()}` };
}

/** The message for a refused create. */
export function sentence(error) {
  if (error.code === "token_invalid") return t("create.token.unknown");
  if (error.code === "pow_expired") return t("create.slow");
  return error.message;
}

/** The field to focus after a refusal with this code; forgets a token the server rejected. */
export function goOn(code) {
  if (code !== "token_invalid") return $(lacksToken() ? "token" : "send").focus();
  last = "";
  keep("");
  $("keep-token").checked = false;
  $("token").select();
}

/** Shows the token field, filled in if the token is known; or says that a token does not help. */
export function offer() {
  show("token-row", isNeeded);
  $("token").value = isNeeded ? last || kept() : "";
  $("keep-token").checked = isNeeded && kept() !== "";
  say("closed", answer.create === "certificate" && !answer.authenticated ? t("create.certificate") : "");
}
