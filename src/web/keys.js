// The keys of a sealed paste, the second edition of the end-to-end format: HKDF (RFC 5869) and PBKDF2 (RFC 8018), both
// with SHA-256. The same as in fpaste.
//
// Invariant: of the key in the link, of the password and of what comes of them only the two proofs leave this browser.
// Must never write one of them anywhere, nor put one into an address.

const EXTRACTION = "flaskpaste sealed 2";
const ITERATIONS = 600000;
const HASH = "SHA-256";

/** Browsers encrypt only on pages that came over https or from this machine. */
export const available = Boolean(globalThis.crypto?.subtle);

export const random = (length) => crypto.getRandomValues(new Uint8Array(length));

/** Bytes in base64url without padding (RFC 4648 section 5). */
export const encode = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

export const decode = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

/** What keeps a text from being a key, 32 bytes in base64url without padding, as a key of words; "" for one. */
export function fault(text) {
  if (!/^[\w-]{43}$/.test(text)) return "page.key.form";
  return encode(decode(text)) === text ? "" : "page.key.letter";
}

const utf8 = (text) => new TextEncoder().encode(text);

const joined = async (parts) => new Uint8Array(await new Blob(parts).arrayBuffer());

const hmacKey = (bytes) => crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: HASH }, false, ["sign"]);

const hmac = async (key, ...parts) => new Uint8Array(await crypto.subtle.sign("HMAC", key, await joined(parts)));

/** HKDF-Extract: a key that is expanded, and can be used for nothing else. */
const extract = async (...parts) => hmacKey(await hmac(await hmacKey(utf8(EXTRACTION)), ...parts));

/** HKDF-Expand, of which one block is enough here. */
const expand = async (key, label, length = 32, salt = "") =>
  (await hmac(key, utf8(label), salt, Uint8Array.of(1))).subarray(0, length);

async function stretch(password, salt) {
  const key = await crypto.subtle.importKey("raw", utf8(password), "PBKDF2", false, ["deriveBits"]);
  return crypto.subtle.deriveBits({ name: "PBKDF2", hash: HASH, salt, iterations: ITERATIONS }, key, 256);
}

/**
 * What comes of a key and a password, which may be "": `root`, from which the keys of an upload come, `linkProof`, and
 * `passwordProof`, null without a password.
 */
export async function derive(key, password) {
  const link = await extract(key);
  const linkProof = await expand(link, "link proof");
  if (!password) return { root: link, linkProof, passwordProof: null };
  const root = await extract(key, await stretch(password, await expand(link, "password salt", 16)));
  return { root, linkProof, passwordProof: await expand(root, "password proof") };
}

/** The key of the upload with this salt, and the commitment to it. */
export async function contentKeys(root, salt) {
  const [bytes, commitment] = [await expand(root, "content", 32, salt), await expand(root, "commitment", 32, salt)];
  return { key: await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]), commitment };
}

/** The headers that prove to the server that a reader has the link, and the password if there is one. */
export function proofs({ linkProof, passwordProof }) {
  const fields = { "X-Read-Proof": encode(linkProof) };
  return passwordProof ? { ...fields, "X-Password-Proof": encode(passwordProof) } : fields;
}

/** The headers by which the server knows those proofs, once a paste is made: their hashes. */
export async function gate({ linkProof, passwordProof }) {
  const hash = async (proof) => Array.from(new Uint8Array(await crypto.subtle.digest(HASH, proof)),
    (byte) => byte.toString(16).padStart(2, "0")).join("");
  const fields = { "X-Read-Proof-SHA256": await hash(linkProof) };
  return passwordProof ? { ...fields, "X-Password-Proof-SHA256": await hash(passwordProof) } : fields;
}
