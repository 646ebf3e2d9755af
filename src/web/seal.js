// The end-to-end format: AES-256-GCM (NIST SP 800-38D), the key in the link's fragment. The same as in fpaste.
//
// Invariant: an upload is a 12-byte random nonce, the ciphertext and a 16-byte tag, without associated data; every key
// encrypts one message, and never leaves this browser but in a link.

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;

/** Browsers encrypt only on pages that came over https or from this machine. */
export const available = Boolean(globalThis.crypto?.subtle);

/** Encrypts bytes with a new key; the upload, and the key as a fragment. */
export async function seal(bytes) {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, await imported(key, "encrypt"), bytes);
  const upload = new Uint8Array(NONCE_BYTES + sealed.byteLength);
  upload.set(nonce);
  upload.set(new Uint8Array(sealed), NONCE_BYTES);
  return { upload, fragment: encode(key) };
}

/** Decrypts an upload with a fragment's key; `null` when the two do not belong together, or it was changed. */
export async function open(upload, fragment) {
  if (upload.length < OVERHEAD_BYTES) return null;
  const [nonce, sealed] = [upload.subarray(0, NONCE_BYTES), upload.subarray(NONCE_BYTES)];
  const key = await imported(decode(fragment), "decrypt");
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: nonce }, key, sealed));
  } catch {
    return null;
  }
}

/** Whether a text is a key: 32 bytes in base64url without padding (RFC 4648 section 5), 43 characters. */
export function isKey(text) {
  return /^[\w-]{43}$/.test(text) && encode(decode(text)) === text;
}

const imported = (key, use) => crypto.subtle.importKey("raw", key, "AES-GCM", false, [use]);

const encode = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const decode = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
