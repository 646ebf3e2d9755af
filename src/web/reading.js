// A read of one paste: it is leased where reads are counted, fetched, taken up again where the connection breaks, opened as
// it comes, and confirmed.
//
// Invariant: of a paste with a limit one read is taken, however often the connection breaks or a key is wrong, and it is
// confirmed by `confirm` alone. Where an answer was lost, none is taken again without being asked for. Must never send a password of its own accord, nor proofs of another paste.

import { Broken, passwordHeader, pour, request } from "./api.js";
import { proofs } from "./keys.js";
import * as leases from "./leases.js";
import { Opener, isSealed } from "./sealed.js";
import { t } from "./words.js";

/** After each break in a row, so many milliseconds pass before the next try. */
const PAUSES = [500, 1000, 2000, 4000];
/** What has come is put into the browser's keeping in pieces of so many bytes. */
const PIECE_BYTES = 4 << 20;

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

const isBreak = (error) => error instanceof Broken || error.status === 0 || error.status >= 500;

/** Takes what comes: opens what is sealed, with the root of its keys, and keeps anything else as it is. */
class Intake {
  #root;
  #opener = null;
  #pieces = [];
  #heap = 0;
  #length = 0;

  constructor(root) {
    this.#root = root;
  }

  /** Where it goes on after a break. */
  get from() {
    return this.#opener ? this.#opener.verified : this.#length;
  }

  async take(bytes) {
    if (this.#opener) return this.#opener.push(bytes);
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    this.#heap += bytes.length;
    if (this.#heap > PIECE_BYTES) [this.#pieces, this.#heap] = [[new Blob(this.#pieces)], 0];
    // The first bytes tell, and come together but for chance.
    if (!this.#root || this.#length < 8 || this.#length - bytes.length >= 8) return;
    const head = await this.#all();
    if (!isSealed(head)) return;
    this.#pieces = [];
    this.#opener = new Opener(this.#root);
    await this.#opener.push(head);
  }

  /** Forgets what has to come again after a break. */
  rewind() {
    this.#opener?.rewind();
  }

  async #all() {
    return new Uint8Array(await new Blob(this.#pieces).arrayBuffer());
  }

  async finish() {
    return this.#opener ? { content: await this.#opener.finish() } : { upload: await this.#all() };
  }
}

/** Whether the server may have done what it gave no answer to: not where the answer is a refusal of its own. */
const isLost = (error) => error.status === 0 || error.status >= 500 && !error.code;

/** A read that may be taken: the answer was lost, and the lease with it. */
export class Unsure extends Error {}

/** The read of the paste with this id. */
export class Reading {
  #id;
  #path;
  /** Whether reads are counted. */
  #isLimited;
  #lease = null;
  #isConfirmed = false;
  /** Whether the server has said that it counts no reads. */
  #isUncounted = false;

  constructor(id, isLimited) {
    this.#lease = isLimited ? leases.leaseOf(id) : null;
    this.#id = id;
    this.#path = `/${id}`;
    this.#isLimited = isLimited;
  }

  /** When the read that was taken ends, in unix seconds; undefined before it was. */
  get until() {
    return this.#lease?.expires_at;
  }

  /** How many reads are left to others, where that is known. */
  get left() {
    return this.#lease?.reads_left;
  }

  /**
   * Fetches the paste: `{ content }` of one that was sealed, opened with `secrets`, else `{ upload }`. `password` is the one
   * that the server may see, or "". Throws what `Opener` throws, what the server refuses, Broken, and Unsure.
   */
  async fetch({ secrets, isGated, password, progress, pausing }) {
    const headers = isGated ? proofs(secrets) : password ? passwordHeader(password) : {};
    if (this.#isLimited && !this.#lease) await this.#take(headers);
    // What cannot be fetched a second time is kept whole: another key may be the right one.
    const isRepeatable = !this.#isLimited || this.#lease;
    const make = () => new Intake(isRepeatable ? secrets?.root : null);
    try {
      return await this.#transfer(this.#lease ? { "X-Lease": this.#lease.lease } : headers, make, { progress, pausing });
    } catch (error) {
      if (error.status === 404) leases.forget(this.#id);
      throw error;
    }
  }

  /** Takes a read. A server without leases is read as before. */
  async #take(headers) {
    try {
      const lease = await (await request("POST", `${this.#path}/lease`, { headers })).json().catch(() => null);
      if (!/^[0-9a-f]{32}$/.test(lease?.lease)) throw new Unsure(t("api.unreadable"));
      this.#lease = lease;
      leases.keep(this.#id, lease);
    } catch (error) {
      if (isLost(error)) throw new Unsure(error.message);
      this.#isUncounted = error.status === 409;
      if (![404, 405, 409].includes(error.status)) throw error;
    }
  }

  /** Whether a read without a lease is known to be counted, of a paste that had `before` reads: it is gone, or has fewer. */
  async isCounted(before) {
    if (this.#isUncounted) return false;
    try {
      const { reads_left: left } = await (await request("GET", this.#path)).json();
      return left < before;
    } catch (error) {
      return error.status === 404;
    }
  }

  async #transfer(headers, make, { progress, pausing }) {
    const isRepeatable = !this.#isLimited || this.#lease;
    let intake = make();
    for (let breaks = 0, from = 0; ; from = intake.from) {
      try {
        const range = from > 0 ? { Range: `bytes=${from}-` } : {};
        const response = await request("GET", `${this.#path}/raw`, { headers: { ...headers, ...range } });
        if (from > 0 && response.status !== 206) [intake, from] = [make(), 0];
        await pour(response, from, (bytes) => intake.take(bytes), progress);
        return await intake.finish();
      } catch (error) {
        const isFirst = from === 0 && !(error instanceof Broken) && !this.#lease;
        if (!isBreak(error) || !isRepeatable || isFirst) throw error;
        intake.rewind();
        breaks = intake.from > from ? 1 : breaks + 1;
        if (breaks > PAUSES.length) throw error;
        pausing();
        await pause(PAUSES[breaks - 1]);
      }
    }
  }

  /** Tells the server that the content is here, and whole; nothing where no read was taken. */
  async confirm() {
    if (!this.#lease || this.#isConfirmed) return;
    for (const milliseconds of [...PAUSES, 0]) {
      try {
        await request("DELETE", this.#path, { headers: { "X-Lease": this.#lease.lease } });
        break;
      } catch (error) {
        // It ended by itself, which is the same.
        if (error.status === 404) break;
        if (!isBreak(error) || milliseconds === 0) throw error;
        await pause(milliseconds);
      }
    }
    this.#isConfirmed = true;
    leases.forget(this.#id);
  }
}
