// QR codes (ISO/IEC 18004): byte mode, error correction level M, versions 1 to 15 (up to 412 bytes).
//
// Invariant: the code decodes to exactly the given text; a text that is too long gives no code.

/** Per version: check bytes per block, and number of blocks. */
const BLOCKS = [
  [10, 1], [16, 1], [26, 1], [18, 2], [24, 2], [16, 4], [18, 4], [22, 4], [22, 5], [26, 5], [30, 5], [22, 8], [22, 9],
  [24, 9], [24, 10],
];

/** A code as rows of booleans, true for dark; null if the text is too long. */
export function encode(text) {
  const bytes = new TextEncoder().encode(text);
  for (let version = 1; version <= BLOCKS.length; version++) {
    const [check, blocks] = BLOCKS[version - 1];
    const data = Math.floor(modulesForData(version) / 8) - check * blocks;
    const header = version < 10 ? 2 : 3;
    if (bytes.length + header <= data) {
      const stream = interleave(pack(bytes, data, version), check, blocks);
      return best(version, stream);
    }
  }
  return null;
}

/** Modules left for data and check bits after the patterns. */
function modulesForData(version) {
  let modules = (16 * version + 128) * version + 64;
  if (version >= 2) {
    const aligned = Math.floor(version / 7) + 2;
    modules -= (25 * aligned - 10) * aligned - 55;
    if (version >= 7) modules -= 36;
  }
  return modules;
}

/** Mode, length, bytes and padding. */
function pack(bytes, length, version) {
  const bits = [];
  const push = (value, count) => { for (let i = count - 1; i >= 0; i--) bits.push(value >> i & 1); };
  push(4, 4);
  push(bytes.length, version < 10 ? 8 : 16);
  for (const byte of bytes) push(byte, 8);
  push(0, Math.min(4, length * 8 - bits.length));
  while (bits.length % 8) bits.push(0);
  for (let pad = 0xec; bits.length < length * 8; pad ^= 0xec ^ 0x11) push(pad, 8);
  return Array.from({ length }, (_, i) => parseInt(bits.slice(8 * i, 8 * i + 8).join(""), 2));
}

// Arithmetic in GF(256) over x^8 + x^4 + x^3 + x^2 + 1.
const EXP = [1];
for (let i = 1; i < 255; i++) EXP.push(EXP[i - 1] << 1 ^ (EXP[i - 1] > 127 ? 0x11d : 0));
const LOG = [];
EXP.forEach((value, power) => { LOG[value] = power; });
const times = (a, b) => (a && b ? EXP[(LOG[a] + LOG[b]) % 255] : 0);

/** Reed-Solomon check bytes: the remainder by the product of (x - 2^i). */
function checkBytes(data, count) {
  let divisor = [1];
  for (let i = 0; i < count; i++) {
    divisor = [...divisor, 0].map((value, at) => value ^ times(divisor[at - 1] ?? 0, EXP[i]));
  }
  const rest = [...data, ...Array(count).fill(0)];
  data.forEach((_, at) => {
    const factor = rest[at];
    divisor.forEach((value, i) => { rest[at + i] ^= times(value, factor); });
  });
  return rest.slice(data.length);
}

/** Splits the data into blocks, longer ones last, and interleaves their bytes. */
function interleave(data, check, count) {
  const short = Math.floor(data.length / count);
  const shorts = count - data.length % count;
  const blocks = [];
  for (let i = 0, at = 0; i < count; i++) {
    const length = short + (i < shorts ? 0 : 1);
    blocks.push(data.slice(at, at += length));
  }
  const checks = blocks.map((block) => checkBytes(block, check));
  const inTurn = (lists) =>
    Array.from(lists.at(-1), (_, i) => lists.map((list) => list[i])).flat().filter((byte) => byte !== undefined);
  return [...inTurn(blocks), ...inTurn(checks)];
}

const MASKS = [
  (x, y) => (x + y) % 2,
  (x, y) => y % 2,
  (x) => x % 3,
  (x, y) => (x + y) % 3,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2,
  (x, y) => x * y % 2 + x * y % 3,
  (x, y) => (x * y % 2 + x * y % 3) % 2,
  (x, y) => ((x + y) % 2 + x * y % 3) % 2,
];

/** The best of the eight masks. */
function best(version, stream) {
  const codes = MASKS.map((_, mask) => draw(version, stream, mask));
  const penalties = codes.map(penalty);
  return codes[penalties.indexOf(Math.min(...penalties))];
}

function draw(version, stream, mask) {
  const size = 4 * version + 17;
  const code = Array.from({ length: size }, () => Array(size).fill(null));
  const set = (x, y, dark) => { if (code[y]?.[x] !== undefined) code[y][x] = Boolean(dark); };

  for (let i = 0; i < size; i++) { set(6, i, i % 2 === 0); set(i, 6, i % 2 === 0); }
  const square = (x, y, radius, isDark) => {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) set(x + dx, y + dy, isDark(Math.max(Math.abs(dx), Math.abs(dy))));
    }
  };
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) square(x, y, 4, (ring) => ring !== 2 && ring !== 4);
  const places = alignments(version, size);
  const last = places.length - 1;
  places.forEach((x, i) => places.forEach((y, j) => {
    const isFinder = (i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0);
    if (!isFinder) square(x, y, 2, (ring) => ring !== 1);
  }));
  drawFormat(set, size, mask);
  if (version >= 7) drawVersion(set, size, version);
  fillData(code, stream, MASKS[mask]);
  return code;
}

function alignments(version, size) {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = Math.floor((version * 4 + count * 2 + 1) / (count * 2 - 2)) * 2;
  return [6, ...Array.from({ length: count - 1 }, (_, i) => size - 7 - step * (count - 2 - i))];
}

/** The remainder of a BCH code with this many check bits. */
function bch(value, generator, bits) {
  let rest = value;
  for (let i = 0; i < bits; i++) rest = rest << 1 ^ (rest >> bits - 1) * generator;
  return rest;
}

function drawFormat(set, size, mask) {
  // Level M is 0, so the value is just the mask.
  const bits = (mask << 10 | bch(mask, 0x537, 10)) ^ 0x5412;
  const bit = (i) => bits >> i & 1;
  for (let i = 0; i < 6; i++) set(8, i, bit(i));
  set(8, 7, bit(6)); set(8, 8, bit(7)); set(7, 8, bit(8));
  for (let i = 9; i < 15; i++) set(14 - i, 8, bit(i));
  for (let i = 0; i < 8; i++) set(size - 1 - i, 8, bit(i));
  for (let i = 8; i < 15; i++) set(8, size - 15 + i, bit(i));
  set(8, size - 8, true);
}

function drawVersion(set, size, version) {
  const bits = version << 12 | bch(version, 0x1f25, 12);
  for (let i = 0; i < 18; i++) {
    const [a, b] = [size - 11 + i % 3, Math.floor(i / 3)];
    set(a, b, bits >> i & 1);
    set(b, a, bits >> i & 1);
  }
}

/** Fills the free modules in columns of two, from the lower right, alternating up and down. */
function fillData(code, stream, mask) {
  const size = code.length;
  let at = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step++) {
      for (const x of [right, right - 1]) {
        const y = (right + 1 & 2) === 0 ? size - 1 - step : step;
        if (code[y][x] !== null) continue;
        const bit = (stream[at >> 3] ?? 0) >> 7 - (at & 7) & 1;
        code[y][x] = Boolean(bit) !== (mask(x, y) === 0);
        at++;
      }
    }
  }
}

/** The penalty of a code: long runs, squares, finder-like patterns, and imbalance. */
function penalty(code) {
  const size = code.length;
  const columns = code.map((_, x) => code.map((row) => row[x]));
  let points = 0;
  for (const line of [...code, ...columns]) {
    const text = line.map(Number).join("");
    for (const [run] of text.matchAll(/0{5,}|1{5,}/g)) points += run.length - 2;
    for (let i = 0; i + 11 <= size; i++) {
      if (["10111010000", "00001011101"].includes(text.slice(i, i + 11))) points += 40;
    }
  }
  for (let y = 1; y < size; y++) {
    for (let x = 1; x < size; x++) {
      const dark = code[y][x];
      if (dark === code[y][x - 1] && dark === code[y - 1][x] && dark === code[y - 1][x - 1]) points += 3;
    }
  }
  const dark = code.flat().filter(Boolean).length;
  return points + Math.floor(Math.abs(dark * 20 - size * size * 10) / (size * size)) * 10;
}
