// The API as the pages use it: one request, and its refusals as sentences.
//
// Invariant: none leaves this server, but for the page that a login in front of it sends instead of an answer. No redirect
// is ever followed: proofs and leases go to this server alone. The server is told that a page asks: its own refusals then
// open no login dialog.

import { prefix } from "./page.js";
import { fromNow, refusal as known, sentences, t } from "./words.js";

const OURS = { Accept: "application/json", "X-Requested-With": "flaskpaste" };

/** A refusal: `message` is for people, in their language or else the server's; `code` and `status` are the server's. */
export class Refused extends Error {
  constructor(status, answer, retryAfter) {
    const said = answer.error ? known(answer.code) ?? [answer.error, answer.hint] : [t("api.answered", { status })];
    super(sentences(...said, retryAfter > 0 && t("api.retry", { when: fromNow(retryAfter) })));
    this.status = status;
    this.code = answer.code;
  }
}

const unreachable = () => new Refused(0, { error: t("api.unreachable") });

const loggedOut = () => new Refused(401, { error: t("api.login") });

/** An answer that is no good one, from its status, JSON and headers. */
function refusal(status, answer, header) {
  return status === 401 && !answer.error ? loggedOut() : new Refused(status, answer, header("Retry-After"));
}

/** Whether this is the page of a login: the server itself answers scripts with anything but pages. */
const isLoginPage = (type) => Boolean(type?.startsWith("text/html"));

/** Sends a request; the response, when it is a good one. */
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
 * Creates a paste; the server's answer. `progress` is called with the share that is sent. By the old interface: fetch does
 * not tell how far it is.
 */
export function upload(body, { headers, signal, progress }) {
  const xhr = new XMLHttpRequest();
  const header = (name) => xhr.getResponseHeader(name);
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    signal.addEventListener("abort", () => xhr.abort(), { once: true });
    xhr.open("POST", `${prefix}/`);
    for (const [name, value] of Object.entries({ ...OURS, ...headers })) xhr.setRequestHeader(name, value);
    xhr.upload.addEventListener("progress", ({ loaded, total }) => progress(loaded / total));
    xhr.addEventListener("abort", () => reject(signal.reason));
    // A login elsewhere looks the same from here as no server; a request that is not sent on to it tells them apart.
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

/** The connection broke within a response. */
export class Broken extends Error {}

/** Hands each piece of a response to `take`, which is waited for; `progress` is called with the share that has come. */
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

/** The header that carries a password, whatever letters it has. */
export function passwordHeader(password) {
  const bytes = new TextEncoder().encode(password);
  return { "X-Paste-Password-Base64": btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")) };
}
