// The API as the pages use it: one request, and its refusals as sentences.
//
// Invariant: no request carries credentials, so that no login dialog ever opens, and none leaves this server.

import { prefix } from "./page.js";

/** A refusal: `message` is a sentence for people, `code` and `status` are the server's. */
export class Refused extends Error {
  constructor(status, answer, retryAfter) {
    const sentences = answer.error ? [answer.error, answer.hint] : [`The server answered ${status}. Try again later.`];
    if (retryAfter) sentences.push(`Try again in ${retryAfter} seconds.`);
    super(sentences.join(" "));
    this.status = status;
    this.code = answer.code;
  }
}

/** Sends a request; the response, when it is a good one. */
export async function request(method, path, { headers, body, signal } = {}) {
  let response;
  try {
    response = await fetch(prefix + path, {
      method, body, signal,
      headers: { Accept: "application/json", ...headers },
      credentials: "omit", cache: "no-store", redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { error: "The server cannot be reached.", hint: "Look at your connection and try again." });
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Refused(response.status, answer, response.headers.get("Retry-After"));
}

/** The header that carries a password, whatever letters it has. */
export function passwordHeader(password) {
  const bytes = new TextEncoder().encode(password);
  return { "X-Paste-Password-Base64": btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")) };
}
