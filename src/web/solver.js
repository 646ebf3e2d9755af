// A worker: looks for a number whose SHA-256 (FIPS 180-4) after the nonce and a colon begins with enough zero bits.
// By hand, because WebCrypto hashes one message a call: 20 times slower.

const K = new Int32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
  0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
  0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
  0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
  0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
  0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
const START = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];
const DIGITS = 16;
const BATCH = 100000;

const words = new Int32Array(64);
const hash = new Int32Array(8);

/** Hashes the one block in `words` into `hash`. */
function compress() {
  for (let i = 16; i < 64; i++) {
    const [x, y] = [words[i - 15], words[i - 2]];
    const s0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3;
    const s1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10;
    words[i] = words[i - 16] + s0 + words[i - 7] + s1 | 0;
  }
  let [a, b, c, d, e, f, g, h] = START;
  for (let i = 0; i < 64; i++) {
    const s1 = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
    const t1 = h + s1 + (e & f ^ ~e & g) + K[i] + words[i] | 0;
    const s0 = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
    const t2 = s0 + (a & b ^ a & c ^ b & c) | 0;
    h = g; g = f; f = e; e = d + t1 | 0; d = c; c = b; b = a; a = t1 + t2 | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => { hash[i] = START[i] + word; });
}

function zeroBits() {
  const first = Math.clz32(hash[0]);
  return first < 32 ? first : 32 + Math.clz32(hash[1]);
}

onmessage = ({ data: { nonce, difficulty, index, count } }) => {
  // One block: the nonce has 32 digits, the number always 16; after them a one bit and the length in bits.
  const start = nonce.length + 1;
  const end = start + DIGITS;
  if (end > 55) throw new Error("the nonce is too long");
  const block = new Uint8Array(64);
  block.set(new TextEncoder().encode(`${nonce}:`));
  block[end] = 0x80;
  const view = new DataView(block.buffer);
  view.setUint32(60, end * 8);
  const setNumber = (number) => {
    for (let at = end - 1; at >= start; at--, number = Math.floor(number / 10)) block[at] = 48 + number % 10;
  };

  for (let batch = index; ; batch += count) {
    const first = 10 ** (DIGITS - 1) + batch * BATCH;
    for (let number = first; number < first + BATCH; number++) {
      setNumber(number);
      for (let i = 0; i < 16; i++) words[i] = view.getInt32(4 * i);
      compress();
      if (zeroBits() >= difficulty) {
        postMessage({ tried: number - first + 1, solution: String(number) });
        return;
      }
    }
    postMessage({ tried: BATCH });
  }
};
