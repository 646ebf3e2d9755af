// What a paste is, told from its bytes: text, a picture, or a file.
//
// Invariant: whatever the sender calls it, only pictures of these few formats are shown as such, and nothing gets a
// type a browser would run.

/** The formats told by their first bytes: extension, picture type if browsers show it, bytes (in Latin-1), place. */
const FORMATS = [
  ["png", "image/png", "\x89PNG\r\n\x1a\n"],
  ["jpg", "image/jpeg", "\xff\xd8\xff"],
  ["gif", "image/gif", "GIF8"],
  ["webp", "image/webp", "WEBP", 8],
  ["avif", "image/avif", "ftypavif", 4],
  ["bmp", "image/bmp", "BM"],
  ["pdf", null, "%PDF-"],
  ["zip", null, "PK\x03\x04"],
  ["gz", null, "\x1f\x8b"],
  ["bz2", null, "BZh"],
  ["xz", null, "\xfd7zXZ\0"],
  ["zst", null, "\x28\xb5\x2f\xfd"],
  ["7z", null, "7z\xbc\xaf\x27\x1c"],
  ["mp4", null, "ftyp", 4],
  ["ogg", null, "OggS"],
  ["mp3", null, "ID3"],
  ["sqlite", null, "SQLite format 3\0"],
];

/** What bytes are: `{ text }`, or `{ picture, extension }`, where `picture` is the type of one or null. */
export function recognise(bytes) {
  const text = decodeText(bytes);
  if (text !== null) return { text, picture: null, extension: "txt" };
  const begins = ([, , magic, at = 0]) => [...magic].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));
  const [extension, picture] = FORMATS.find(begins) ?? ["bin", null];
  return { text: null, picture, extension, isUnknown: extension === "bin" };
}

/**
 * Whether a text has characters that deceive: those that change the direction of writing (CVE-2021-42574), and control
 * characters, which a terminal obeys when the text is pasted into it.
 */
export function deceives(text) {
  return /[\u202a-\u202e\u2066-\u2069\u0001-\u0008\u000b\u000e-\u001f\u007f-\u009f]/.test(text);
}

/** The text, if the bytes are UTF-8 without NUL; all of it, a byte order mark too. */
function decodeText(bytes) {
  if (bytes.includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
