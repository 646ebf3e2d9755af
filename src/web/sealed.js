// The container of a sealed paste: a salt, a commitment to its key, and chunks of AES-256-GCM (NIST SP 800-38D).
//
// Invariant: the key commitment is checked before anything is decrypted, to distinguish a wrong key from damage. Must never
// release a byte of a chunk before its tag is verified, nor treat content as complete before its last chunk is.

import { contentKeys, random } from "./keys.js";
import { unpack } from "./manifest.js";
import { t } from "./words.js";

const MAGIC = new TextEncoder().encode("fpaste2\n");
const SALT_BYTES = 16;
const HEAD_BYTES = MAGIC.length + SALT_BYTES + 32;
const CHUNK_BYTES = 65536;
const TAG_BYTES = 16;
const SEALED_BYTES = CHUNK_BYTES + TAG_BYTES;
/** How many chunks are read from a file, and moved into a Blob, at a time. */
const BATCH = 64;
const LEAST_BYTES = 256;

export class WrongKey extends Error {}

export class Damaged extends Error {
  constructor() {
    super(t("paste.damaged"));
  }
}

/** Whether bytes start like a sealed paste; false if there are too few. */
export const isSealed = (bytes) => bytes.length >= MAGIC.length && MAGIC.every((byte, at) => bytes[at] === byte);

/** The largest plaintext whose upload fits into `most` bytes. */
export function roomIn(most) {
  const chunks = Math.max(0, most - HEAD_BYTES);
  const rest = chunks % SEALED_BYTES;
  return Math.floor(chunks / SEALED_BYTES) * CHUNK_BYTES + Math.max(0, rest - TAG_BYTES);
}

/** The padded length of a plaintext, to hide its size: Padmé (Nikitin et al. 2019). */
export function padded(length) {
  if (length <= LEAST_BYTES) return LEAST_BYTES;
  let exponent = 0;
  while (2 ** (exponent + 1) <= length) exponent++;
  const unit = 2 ** (exponent - Math.floor(Math.log2(exponent)) - 1);
  return Math.ceil(length / unit) * unit;
}

/** The parameters of a chunk: the nonce holds its index and whether it is the last. */
function cipher(index, isLast) {
  const nonce = new DataView(new ArrayBuffer(12));
  nonce.setBigUint64(3, BigInt(index));
  nonce.setUint8(11, isLast ? 1 : 0);
  return { name: "AES-GCM", iv: nonce };
}

/** Encrypts a plaintext Blob with keys derived from a root; returns the upload. */
export async function seal(root, plain) {
  const salt = random(SALT_BYTES);
  const { key, commitment } = await contentKeys(root, salt);
  const parts = [MAGIC, salt, commitment];
  const count = Math.ceil(plain.size / CHUNK_BYTES);
  for (let index = 0; index < count;) {
    const batch = new Uint8Array(await plain.slice(index * CHUNK_BYTES, (index + BATCH) * CHUNK_BYTES).arrayBuffer());
    const sealed = [];
    for (let at = 0; at < batch.length; at += CHUNK_BYTES, index++) {
      const chunk = batch.subarray(at, at + CHUNK_BYTES);
      sealed.push(await crypto.subtle.encrypt(cipher(index, index === count - 1), key, chunk));
    }
    parts.push(new Blob(sealed));
  }
  return new Blob(parts);
}

/** Decrypts an upload as it arrives. */
export class Opener {
  #root;
  #key = null;
  #buffer = new Uint8Array(HEAD_BYTES);
  #filled = 0;
  /** Verified chunks. */
  #count = 0;
  #batch = [];
  #parts = [];

  constructor(root) {
    this.#root = root;
  }

  /** The offset to resume the upload from: after the last verified chunk. */
  get verified() {
    return this.#key ? HEAD_BYTES + this.#count * SEALED_BYTES : 0;
  }

  /** Discards unverified data. */
  rewind() {
    this.#filled = 0;
  }

  /** Takes the next bytes; decrypts a chunk once more data follows, so that it is not the last. Throws WrongKey or Damaged. */
  async push(bytes) {
    for (let at = 0; at < bytes.length;) {
      if (this.#filled === this.#buffer.length) await this.#open(false);
      const piece = bytes.subarray(at, at + this.#buffer.length - this.#filled);
      this.#buffer.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
    }
  }

  /** The content, once complete; see `unpack`. Throws WrongKey or Damaged. */
  async finish() {
    if (!this.#key) throw new Damaged();
    await this.#open(true);
    const content = await unpack(new Blob([...this.#parts, ...this.#batch]));
    if (!content) throw new Damaged();
    return content;
  }

  #open(isLast) {
    return this.#key ? this.#openChunk(isLast) : this.#openHead();
  }

  async #openHead() {
    if (!isSealed(this.#buffer)) throw new Damaged();
    const salt = this.#buffer.slice(MAGIC.length, MAGIC.length + SALT_BYTES);
    const { key, commitment } = await contentKeys(this.#root, salt);
    if (!commitment.every((byte, at) => byte === this.#buffer[MAGIC.length + SALT_BYTES + at])) throw new WrongKey();
    this.#key = key;
    this.#buffer = new Uint8Array(SEALED_BYTES);
    this.#filled = 0;
  }

  async #openChunk(isLast) {
    // The last chunk has at least one byte besides its tag.
    if (this.#filled <= TAG_BYTES) throw new Damaged();
    const chunk = this.#buffer.subarray(0, this.#filled);
    this.#batch.push(await crypto.subtle.decrypt(cipher(this.#count, isLast), this.#key, chunk)
      .catch(() => { throw new Damaged(); }));
    this.#count++;
    this.#filled = 0;
    if (this.#batch.length === BATCH) this.#parts.push(new Blob(this.#batch.splice(0)));
  }
}
