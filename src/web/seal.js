// Version 1 of the end-to-end format, which is still read but no longer written: AES-256-GCM (NIST SP 800-38D), with the key
// in the link's fragment.
//
// Invariant: an upload is a 12-byte nonce, the ciphertext and a 16-byte tag, without associated data. Must never release a
// byte before the tag is verified.

import { decode } from "./keys.js";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;

/** Decrypts an upload with the fragment's key; `null` if the key is wrong or the upload was changed. */
export async function open(upload, fragment) {
  if (upload.length < OVERHEAD_BYTES) return null;
  const [nonce, sealed] = [upload.subarray(0, NONCE_BYTES), upload.subarray(NONCE_BYTES)];
  const key = await crypto.subtle.importKey("raw", decode(fragment), "AES-GCM", false, ["decrypt"]);
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: nonce }, key, sealed));
  } catch {
    return null;
  }
}
