// The API client of the pages: sends requests, and turns refusals into messages.
//
// Invariant: requests go only to this server, and redirects are never followed, so that proofs and leases reach nobody
// else; a login in front of the server may answer with a page of its own. Requests are marked as coming from a page, so
// that the server's refusals open no login dialog.

import { prefix } from "./page.js";
import { fromNow, refusal as known, sentences, t } from "./words.js";

const OURS = { Accept: "application/json", "X-Requested-With": "flaskpaste" };

/** Refusals whose only advice is to wait. */
const PASSING = ["busy", "rate_limited", "throttled"];

/** A refusal: `message` is for people, in their language if possible; `code` and `status` are the server's. */
export class Refused extends Error {
  constructor(status, answer, retryAfter) {
    const [wrong, advice] = answer.error ? known(answer.code) ?? [answer.error, answer.hint] : [t("api.answered", { status })];
    const retry = retryAfter > 0 && t("api.retry", { when: fromNow(retryAfter) });
    // "Wait a little" and "try again in 20 seconds" are the same advice.
    super(sentences(wrong, !(retry && PASSING.includes(answer.code)) && advice, retry));
    this.status = status;
    this.code = answer.code;
  }
}

const unreachable = () => new Refused(0, { error: t("api.unreachable") });

const loggedOut = () => new Refused(401, { error: t("api.login") });

/** The error for an unsuccessful answer, from its status, JSON and headers. */
function refusal(status, answer, header) {
  return status === 401 && !answer.error ? loggedOut() : new Refused(status, answer, header("Retry-After"));
}

/** Whether this is a login page: the server itself never answers scripts with pages. */
const isLoginPage = (type) => Boolean(type?.startsWith("text/html"));

/** Sends a request and returns the response if it is successful. */
export async function request(method, path, { headers, signal } = {}) {
  let response;
  try {
    response = await fetch(prefix + path, {
      method, signal,
      headers: { ...OURS, ...headers },
      credentials: "same-origin", cache: "no-store", redirect: "manual",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  const header = (name) => response.headers.get(name);
  if (response.type === "opaqueredirect" || response.ok && isLoginPage(header("Content-Type"))) throw loggedOut();
  if (response.ok) return response;
  throw refusal(response.status, await response.json().catch(() => ({})), header);
}

/**
 * Uploads content and returns the server's answer. `progress` is called with the fraction sent. Uses XMLHttpRequest,
 * because fetch does not report upload progress.
 */
export function upload(method, path, body, { headers, signal, progress }) {
  const xhr = new XMLHttpRequest();
  const header = (name) => xhr.getResponseHeader(name);
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    signal.addEventListener("abort", () => xhr.abort(), { once: true });
    xhr.open(method, prefix + path);
    for (const [name, value] of Object.entries({ ...OURS, ...headers })) xhr.setRequestHeader(name, value);
    xhr.upload.addEventListener("progress", ({ loaded, total }) => progress(loaded / total));
    xhr.addEventListener("abort", () => reject(signal.reason));
    // A redirect to a login elsewhere looks like an unreachable server; a request that does not follow redirects tells.
    xhr.addEventListener("error", () => request("HEAD", "/challenge").then(() => reject(unreachable()), reject));
    xhr.addEventListener("load", () => {
      if (isLoginPage(header("Content-Type"))) return reject(loggedOut());
      const answer = parse(xhr.responseText);
      if (xhr.status === 201) resolve(answer); else reject(refusal(xhr.status, answer, header));
    });
    xhr.send(body);
  });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** The connection broke during a response. */
export class Broken extends Error {}

/** Passes each piece of a response to `take` and awaits it; `progress` is called with the fraction received. */
export async function pour(response, before, take, progress) {
  const total = before + Number(response.headers.get("Content-Length"));
  const reader = response.body.getReader();
  try {
    for (let come = before;;) {
      const { done, value } = await reader.read().catch(() => { throw new Broken(); });
      if (done) return;
      await take(value);
      progress((come += value.length) / total);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The header for a password, encoded for any characters. */
export function passwordHeader(password) {
  const bytes = new TextEncoder().encode(password);
  return { "X-Paste-Password-Base64": btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")) };
}
