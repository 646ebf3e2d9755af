// The manifest of a sealed paste: names, types and sizes of its files, and the limits the sender requested.
//
// Invariant: writer and reader agree, and a manifest that breaks a rule is rejected. Must never accept a name that could
// escape the folder it is saved in.

const MAX_BYTES = 1 << 20;
export const MAX_FILES = 10000;
const MAX_PART_BYTES = 255;
const MAX_NAME_BYTES = 1024;

/** An unpaired UTF-16 surrogate. */
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

const byteLength = (text) => new TextEncoder().encode(text).length;

/** Why a name is not allowed in a sealed paste, as a word key; "" if it is. */
function fault(name) {
  const parts = name.split("/");
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return "create.name.control";
  if (LONE.test(name)) return "create.name.unicode";
  if (name.includes("\\")) return "create.name.backslash";
  if (/^[a-z]:/i.test(name)) return "create.name.drive";
  if (parts.some((part) => ["", ".", ".."].includes(part))) return "create.name.folder";
  const isLong = byteLength(name) > MAX_NAME_BYTES || parts.some((part) => byteLength(part) > MAX_PART_BYTES);
  return isLong ? "create.name.long" : "";
}

/** The first name not allowed beside the others, and why: `{ name, fault }`; null if all are. */
export function badName(names) {
  const bad = names.find(fault);
  if (bad !== undefined) return { name: bad, fault: fault(bad) };
  const taken = new Map();
  for (const name of names) {
    const lower = name.toLowerCase();
    if (taken.has(lower)) return { name, fault: "create.name.twice" };
    taken.set(lower, name);
  }
  for (const [lower, name] of taken) {
    for (let at = lower.indexOf("/"); at >= 0; at = lower.indexOf("/", at + 1)) {
      if (taken.has(lower.slice(0, at))) return { name, fault: "create.name.file" };
    }
  }
  return null;
}

/** Whether these files and their manifest are within the limits. */
export const fits = (files, bytes) => files.length <= MAX_FILES && bytes.length <= MAX_BYTES;

/** The manifest as bytes. Undefined fields are omitted. */
export const write = (manifest) => new TextEncoder().encode(JSON.stringify(manifest));

const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isMissingOr = (kind, value) => value === undefined || typeof value === kind;

function isFile(file) {
  return file !== null && typeof file === "object" && isCount(file.size) && isMissingOr("string", file.name)
    && isMissingOr("string", file.type) && !LONE.test(file.type) && isMissingOr("boolean", file.executable);
}

/** Parses a manifest followed by `room` bytes of content; null if it breaks a rule. */
function parse(bytes, room) {
  let manifest;
  try {
    manifest = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return null;
  }
  const { files, reads, expires_at: expires } = manifest ?? {};
  if (!Array.isArray(files) || files.length < 1 || files.length > MAX_FILES || !files.every(isFile)) return null;
  const names = files.map((file) => file.name);
  if (names.includes(undefined) ? names.length > 1 : badName(names)) return null;
  if (![reads, expires].every((value) => value === undefined || isCount(value)) || reads === 0) return null;
  return files.reduce((sum, { size }) => sum + size, 0) <= room ? { files, reads, expires } : null;
}

/**
 * Unpacks a plaintext Blob: `{ files: [{ name, type, size, executable, blob }], reads, expires }`; null if it breaks a rule.
 * The blobs have a type no browser runs.
 */
export async function unpack(plain) {
  const prefix = new DataView(await plain.slice(0, 4).arrayBuffer());
  const length = prefix.byteLength === 4 ? prefix.getUint32(0) : Infinity;
  if (length > MAX_BYTES || 4 + length > plain.size) return null;
  const bytes = new Uint8Array(await plain.slice(4, 4 + length).arrayBuffer());
  const manifest = parse(bytes, plain.size - 4 - length);
  if (!manifest) return null;
  let at = 4 + length;
  const files = manifest.files.map(({ name, type, size, executable }) => {
    const blob = plain.slice(at, at += size, "application/octet-stream");
    return { name, type, size, executable, blob };
  });
  return { ...manifest, files };
}

/** The plaintext: manifest, files (Blobs) and zero padding. */
export function pack(manifest, blobs, padding) {
  const prefix = new DataView(new ArrayBuffer(4));
  prefix.setUint32(0, manifest.length);
  return new Blob([prefix, manifest, ...blobs, new Uint8Array(padding)]);
}
