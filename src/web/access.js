// The token that lets somebody create where not everybody may.
//
// Invariant: it is sent with a create alone, and kept in this browser only if its owner says so. Must never stay where the
// server has said that it is none.

import { $, answer, say, show } from "./page.js";
import { t } from "./words.js";

const PLACE = "flaskpaste-token";
/** What was entered last, for as long as this page is open. */
let last = "";
/** Whether this visitor has to show a token. */
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
    // Storage is full or forbidden: it is asked for again the next time.
  }
}

const entered = () => $("token").value.trim();

const lacksToken = () => isNeeded && !entered();

/** Whether a token goes along, so that more may be sent. */
export const hasToken = () => isNeeded && entered() !== "";

/** The header of a create. Throws where a token is missing. */
export function bearer() {
  if (!isNeeded) return {};
  if (lacksToken()) throw new Error(t("create.token.missing"));
  last = entered();
  keep($("keep-token").checked ? last : "");
  return { Authorization: `Bearer ${entered()}` };
}

/** What is said of a refusal to create. */
export function sentence(error) {
  if (error.code === "token_invalid") return t("create.token.unknown");
  if (error.code === "pow_expired") return t("create.slow");
  return error.message;
}

/** Where the keyboard goes on after a refusal with this code; what the server has said is no token is forgotten. */
export function goOn(code) {
  if (code !== "token_invalid") return $(lacksToken() ? "token" : "send").focus();
  last = "";
  keep("");
  $("keep-token").checked = false;
  $("token").select();
}

/** Shows the field, where the server asks for a token, with the one that is known; or that no token helps. */
export function offer() {
  show("token-row", isNeeded);
  $("token").value = isNeeded ? last || kept() : "";
  $("keep-token").checked = isNeeded && kept() !== "";
  say("closed", answer.create === "certificate" && !answer.authenticated ? t("create.certificate") : "");
}
