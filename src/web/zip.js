// Several files as one archive: ZIP (APPNOTE 6.3.10) without compression, names in UTF-8.
//
// Invariant: the archive is made of the files' Blobs and headers, so that it needs no extra memory. Must never exceed its
// 32-bit fields.

const MOST_BYTES = 2 ** 32 - 1;
const MOST_FILES = 65535;
const VERSION = 20;
/** Made on Unix: the mode is in the upper half of the external attributes. */
const UNIX = 3 << 8;
const UTF8_NAMES = 1 << 11;
/** The earliest date of the format. */
const DATE = 1 << 5 | 1;
const PIECE_BYTES = 4 << 20;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? value >>> 1 ^ 0xedb88320 : value >>> 1;
  return value;
});

/** The CRC-32 of a blob. */
async function checksum(blob) {
  let crc = ~0;
  for (let at = 0; at < blob.size; at += PIECE_BYTES) {
    for (const byte of new Uint8Array(await blob.slice(at, at + PIECE_BYTES).arrayBuffer())) crc = crc >>> 8 ^ TABLE[(crc ^ byte) & 255];
  }
  return ~crc >>> 0;
}

/** Numbers as little-endian bytes: `[bytes, value]` each. */
function record(fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 2) view.setUint16(at, value, true); else view.setUint32(at, value, true);
    at += bytes;
  }
  return view;
}

/** The fields common to both headers of a file. */
const common = (crc, size, name) =>
  [[2, VERSION], [2, UTF8_NAMES], [2, 0], [2, 0], [2, DATE], [4, crc], [4, size], [4, size], [2, name.length], [2, 0]];

/** Whether the files fit into an archive. */
export function fits(files) {
  const bytes = files.reduce((sum, { name, size }) => sum + size + 6 * name.length + 76, 22);
  return files.length <= MOST_FILES && bytes <= MOST_BYTES;
}

/** Archives files: `{ name, blob, executable }` each. */
export async function zip(files) {
  const parts = [];
  const directory = [];
  let at = 0;
  for (const { name: text, blob, executable } of files) {
    const name = new TextEncoder().encode(text);
    const fields = common(await checksum(blob), blob.size, name);
    const mode = 0o100644 | (executable ? 0o111 : 0);
    const attributes = [[2, 0], [2, 0], [2, 0], [4, mode * 65536], [4, at]];
    parts.push(record([[4, 0x04034b50], ...fields]), name, blob);
    directory.push(record([[4, 0x02014b50], [2, UNIX | VERSION], ...fields, ...attributes]), name);
    at += 30 + name.length + blob.size;
  }
  const index = new Blob(directory);
  const count = files.length;
  const end = [[4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, index.size], [4, at], [2, 0]];
  return new Blob([...parts, index, record(end)], { type: "application/octet-stream" });
}
