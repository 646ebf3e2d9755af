// Detects the kind of a paste from its bytes: text, a picture, or a file.
//
// Invariant: whatever the sender declares, only pictures in these formats are shown as pictures, and nothing gets a type a
// browser would run.

/** Formats by magic bytes: extension, picture type if browsers show it, bytes (in Latin-1), offset. */
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

/** The least bytes of a ciphertext. */
const SHORT = 28;

/** The kind of these bytes: `{ text }`, or `{ picture, extension }`, where `picture` is a media type or null. */
export function recognise(bytes) {
  const begins = ([, , magic, at = 0]) => [...magic].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));
  const utf8 = decodeUtf8(bytes);
  const [extension, picture] = utf8 === null ? FORMATS.find(begins) ?? ["bin", null] : ["txt", null];
  const isUnknown = extension === "bin";
  const text = utf8 ?? (isUnknown ? decodeUtf16(bytes) ?? decodeLatin1(bytes) : null);
  return text === null ? { text, picture, extension, isUnknown } : { text, picture: null, extension: "txt" };
}

// Invisible but legitimate: joiners in emoji and in scripts that need them, variation selectors, the flags of three
// countries.
const JOINING = ["Arab", "Beng", "Deva", "Gujr", "Guru", "Khmr", "Knda", "Mlym", "Mong", "Nkoo", "Orya", "Sinh", "Syrc", "Taml", "Telu"]
  .map((script) => String.raw`\p{scx=${script}}`).join("");
const FINE = [
  String.raw`(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\uFE0F])\u200D(?=\p{Extended_Pictographic})`,
  String.raw`(?<=[${JOINING}])(?<!\p{DI})[\u200C\u200D\u180B-\u180E]`,
  String.raw`(?<=[\p{Emoji}\p{sc=Han}])(?<!\p{DI})[\uFE00-\uFE0F\u{E0100}-\u{E01EF}]`,
  String.raw`(?<=\u{1F3F4})\u{E0067}\u{E0062}(?:\u{E0065}\u{E006E}\u{E0067}|\u{E0073}\u{E0063}\u{E0074}|\u{E0077}\u{E006C}\u{E0073})\u{E007F}`,
  String.raw`\r(?=\n)`,
];
// Deceptive characters: invisible ones (zero width, fillers, tags, soft hyphens), those that change the direction of
// writing (CVE-2021-42574), hidden line ends, and those a terminal obeys when the text is pasted into it.
const ODD = String.raw`[\p{DI}\u2028\u2029\uFFF9-\uFFFB\u0000-\u0008\u000B-\u001F\u007F-\u009F]`;
const oddity = () => new RegExp(`${FINE.join("|")}|(?<odd>(?:(?!${FINE.join("|")})${ODD})+)`, "gu");

const NAMES = {
  8: "BS", 13: "CR", 27: "ESC", 0xad: "SHY", 0x61c: "ALM", 0x200b: "ZWSP", 0x200c: "ZWNJ", 0x200d: "ZWJ", 0x200e: "LRM",
  0x200f: "RLM", 0x202a: "LRE", 0x202b: "RLE", 0x202c: "PDF", 0x202d: "LRO", 0x202e: "RLO", 0x2060: "WJ", 0x2066: "LRI",
  0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xfeff: "BOM",
};
/** Longer runs are shown as a count. */
const NAMED = 4;

/** The runs of deceptive characters in a text: `{ at, run }` each. */
export function* oddities(text) {
  for (const { index: at, groups } of text.matchAll(oddity())) if (groups.odd) yield { at, run: groups.odd };
}

/** The visible mark for such a run. */
export function nameOf(run) {
  const letters = [...run];
  const name = (letter) => {
    const code = letter.codePointAt(0);
    return NAMES[code] ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  };
  const more = letters.length > NAMED ? [`+${letters.length - NAMED}`] : [];
  return [...letters.slice(0, NAMED).map(name), ...more].join(" ");
}

/** A text with each such run replaced. */
export const cleaned = (text, instead = "_") =>
  [...oddities(text)].reduceRight((text, { at, run }) => text.slice(0, at) + instead + text.slice(at + run.length), text);

/** Whether a text has deceptive characters. */
export const deceives = (text) => !oddities(text).next().done;

const decode = (bytes, encoding) => {
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: encoding === "utf-8" }).decode(bytes);
  } catch {
    return null;
  }
};

/** The text, if the bytes are UTF-8 without NUL; a byte order mark is kept. */
const decodeUtf8 = (bytes) => (bytes.includes(0) ? null : decode(bytes, "utf-8"));

/** The text, if the bytes are UTF-16 with a byte order mark. */
function decodeUtf16(bytes) {
  const mark = bytes[0] << 8 | bytes[1];
  if (mark !== 0xfffe && mark !== 0xfeff) return null;
  const text = decode(bytes, mark === 0xfffe ? "utf-16le" : "utf-16be");
  return text?.includes("\0") ? null : text;
}

/**
 * The text, if the bytes may be Latin-1 as browsers decode it (windows-1252): no control characters, and mostly ASCII.
 * The ciphertext of one letter passes once in many thousand times.
 */
function decodeLatin1(bytes) {
  const isControl = (byte) => byte < 32 && (byte < 9 || byte > 13) || [0x7f, 0x81, 0x8d, 0x8f, 0x90, 0x9d].includes(byte);
  if (bytes.some(isControl)) return null;
  const high = bytes.reduce((count, byte) => count + (byte > 127), 0);
  return high * 4 <= bytes.length || bytes.length < SHORT ? decode(bytes, "windows-1252") : null;
}
