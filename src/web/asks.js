// Asks: the asker's keys, the link for the answerer, and sealing the answer (X25519, RFC 7748). Same as in fpaste.
//
// Invariant: the private key is generated in this browser, not extractable, and stored only here until the answer is read.
// Must never use a shared secret that the other side can force.

import { decode, derive, encode, expand, extract, hashed, random } from "./keys.js";
import { Damaged, Opener, seal } from "./sealed.js";

const SALT = "flaskpaste ask 1";
const MAGIC = new TextEncoder().encode("fpasteA\n");
const KEY_BYTES = 32;
/** Bytes before the sealed content. */
export const HEAD_BYTES = MAGIC.length + KEY_BYTES;
const LABEL_BYTES = 200;
/** An ask is forgotten this long after its original expiry, which looking at it may have extended. */
const KEPT_SECONDS = 90 * 86400;

/** The public key in a link is invalid. */
export class BadKey extends Error {}

const generate = () => crypto.subtle.generateKey("X25519", false, ["deriveBits"]);
const exported = async (key) => new Uint8Array(await crypto.subtle.exportKey("raw", key));

/** Whether this browser supports X25519. */
export const available = () => generate().then(() => true, () => false);

/** Whether a question fits into a link. */
export const fits = (label) => new TextEncoder().encode(label).length <= LABEL_BYTES;

/** A new ask: `{ privateKey, publicKey, token, fragment, headers }`. */
export async function make(label) {
  const pair = await generate();
  const [publicKey, token, secret] = [await exported(pair.publicKey), random(32), random(16)];
  const question = label ? `:${encode(new TextEncoder().encode(label))}` : "";
  const fragment = `ask:${encode(new Uint8Array([...publicKey, ...secret]))}${question}`;
  const headers = {
    "X-Read-Proof-SHA256": await hashed(token),
    "X-Answer-Proof-SHA256": await hashed(await proofOf(secret)),
  };
  return { privateKey: pair.privateKey, publicKey, token, fragment, headers };
}

const proofOf = async (secret) => expand(await extract(SALT, secret), "answer proof");

/** Parses a link for the answerer: `{ publicKey, secret, label }`; null if malformed. */
export function parse(fragment) {
  const [, keys, question] = /^ask:([\w-]{64})(?::(.*))?$/.exec(fragment) ?? [];
  if (!keys) return null;
  const bytes = decode(keys);
  return { publicKey: bytes.slice(0, KEY_BYTES), secret: bytes.slice(KEY_BYTES), label: labelOf(question ?? "") };
}

/** The question, or "" if malformed or too long: the link still works. */
function labelOf(text) {
  try {
    const bytes = decode(text);
    return bytes.length > LABEL_BYTES ? "" : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return "";
  }
}

/** The header to send with an answer. */
export const proof = async ({ secret }) => ({ "X-Answer-Proof": encode(await proofOf(secret)) });

/** The root of an answer's keys, from one side's private and the other's public key. */
async function agree(privateKey, otherKey, ephemeralKey, askerKey) {
  const other = await crypto.subtle.importKey("raw", otherKey, "X25519", false, []);
  const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: other }, privateKey, 256));
  if (shared.every((byte) => byte === 0)) throw new Damaged();
  const key = await expand(await extract(SALT, shared), new Uint8Array([...ephemeralKey, ...askerKey]));
  return (await derive(key, "")).root;
}

/** Seals a plaintext Blob for the asker and returns the answer. */
export async function sealFor({ publicKey }, plain) {
  const pair = await generate();
  const ephemeralKey = await exported(pair.publicKey);
  const root = await agree(pair.privateKey, publicKey, ephemeralKey, publicKey).catch(() => { throw new BadKey(); });
  return new Blob([MAGIC, ephemeralKey, await seal(root, plain)]);
}

/** Reads the answer to an ask: the reader's proof, and a streaming opener; same interface as a paste's keys. */
export const secretsOf = (ask) => ({ linkProof: ask.token, passwordProof: null, open: () => new AnswerOpener(ask) });

/** Decrypts an answer as it arrives. */
class AnswerOpener {
  #ask;
  #head = new Uint8Array(0);
  #opener = null;

  constructor(ask) {
    this.#ask = ask;
  }

  /** See [Opener]. */
  get verified() {
    return this.#opener ? HEAD_BYTES + this.#opener.verified : 0;
  }

  rewind() {
    this.#head = new Uint8Array(0);
    this.#opener?.rewind();
  }

  async push(bytes) {
    if (this.#opener) return this.#opener.push(bytes);
    const all = new Uint8Array([...this.#head, ...bytes.subarray(0, HEAD_BYTES - this.#head.length)]);
    const rest = bytes.subarray(all.length - this.#head.length);
    this.#head = all;
    if (all.length < HEAD_BYTES) return;
    if (!MAGIC.every((byte, at) => all[at] === byte)) throw new Damaged();
    const [ephemeralKey, { privateKey, publicKey }] = [all.slice(MAGIC.length), this.#ask];
    const root = await agree(privateKey, ephemeralKey, ephemeralKey, publicKey).catch(() => { throw new Damaged(); });
    this.#opener = new Opener(root);
    return this.#opener.push(rest);
  }

  finish() {
    if (!this.#opener) throw new Damaged();
    return this.#opener.finish();
  }
}

/** This browser's asks: `{ id, privateKey, publicKey, token, label, fragment, expires }` each. */
function store(mode, work) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("flaskpaste", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("asks", { keyPath: "id" });
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction("asks", mode);
      const request = work(transaction.objectStore("asks"));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
      // Another tab may want to delete the database.
      database.onversionchange = () => database.close();
    };
  });
}

/** Stores an ask until it is forgotten. Throws if this browser cannot. */
export async function keep(ask) {
  await store("readwrite", (asks) => asks.put(ask));
  const old = (await all()).filter(({ expires }) => expires + KEPT_SECONDS < Date.now() / 1000);
  for (const { id } of old) await forget(id);
}

/** The ask with this id if this browser created it, else null. */
export const find = async (id) => await store("readonly", (asks) => asks.get(id)).catch(() => null) ?? null;

/** All asks in this browser. */
export const all = () => store("readonly", (asks) => asks.getAll()).catch(() => []);

/** Deletes an ask and its key: its answer can no longer be opened. */
export const forget = (id) => store("readwrite", (asks) => asks.delete(id)).catch(() => {});
