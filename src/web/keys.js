// Key derivation for sealed pastes, version 2 of the end-to-end format: HKDF (RFC 5869) and PBKDF2 (RFC 8018), both with
// SHA-256. Same as in fpaste.
//
// Invariant: of the link key, the password and everything derived from them, only the two proofs leave this browser. Must
// never store any of them or put one into an address.

const EXTRACTION = "flaskpaste sealed 2";
const ITERATIONS = 600000;
const HASH = "SHA-256";

/** Browsers encrypt only on pages loaded over https or from this machine. */
export const available = Boolean(globalThis.crypto?.subtle);

export const random = (length) => crypto.getRandomValues(new Uint8Array(length));

/** Encodes bytes as base64url without padding (RFC 4648 section 5). */
export const encode = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

export const decode = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

/** Why a text is not a key, 32 bytes in base64url without padding, as a word key; "" if it is one. */
export function fault(text) {
  if (!/^[\w-]{43}$/.test(text)) return "page.key.form";
  return encode(decode(text)) === text ? "" : "page.key.letter";
}

const utf8 = (text) => new TextEncoder().encode(text);

const joined = async (parts) => new Uint8Array(await new Blob(parts).arrayBuffer());

const hmacKey = (bytes) => crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: HASH }, false, ["sign"]);

const hmac = async (key, ...parts) => new Uint8Array(await crypto.subtle.sign("HMAC", key, await joined(parts)));

/** HKDF-Extract: a key that can only be expanded. */
export const extract = async (salt, ...parts) => hmacKey(await hmac(await hmacKey(utf8(salt)), ...parts));

/** HKDF-Expand; one block is enough here. */
export const expand = async (key, info, length = 32, salt = "") =>
  (await hmac(key, info, salt, Uint8Array.of(1))).subarray(0, length);

async function stretch(password, salt) {
  const key = await crypto.subtle.importKey("raw", utf8(password), "PBKDF2", false, ["deriveBits"]);
  return crypto.subtle.deriveBits({ name: "PBKDF2", hash: HASH, salt, iterations: ITERATIONS }, key, 256);
}

/**
 * Derives from a key and a password, which may be "": `root`, for the keys of an upload, `linkProof`, and `passwordProof`,
 * null without a password.
 */
export async function derive(key, password) {
  const link = await extract(EXTRACTION, key);
  const linkProof = await expand(link, "link proof");
  if (!password) return { root: link, linkProof, passwordProof: null };
  const root = await extract(EXTRACTION, key, await stretch(password, await expand(link, "password salt", 16)));
  return { root, linkProof, passwordProof: await expand(root, "password proof") };
}

/** The key of the upload with this salt, and the commitment to it. */
export async function contentKeys(root, salt) {
  const [bytes, commitment] = [await expand(root, "content", 32, salt), await expand(root, "commitment", 32, salt)];
  return { key: await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]), commitment };
}

/** The headers that prove possession of the link, and of the password if there is one. */
export function proofs({ linkProof, passwordProof }) {
  const fields = { "X-Read-Proof": encode(linkProof) };
  return passwordProof ? { ...fields, "X-Password-Proof": encode(passwordProof) } : fields;
}

/** The hash of a proof in hex digits, which the server stores. */
export const hashed = async (proof) => Array.from(new Uint8Array(await crypto.subtle.digest(HASH, proof)),
  (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The headers with the hashes of the proofs, for a create. */
export async function gate({ linkProof, passwordProof }) {
  const fields = { "X-Read-Proof-SHA256": await hashed(linkProof) };
  return passwordProof ? { ...fields, "X-Password-Proof-SHA256": await hashed(passwordProof) } : fields;
}
