// One read of a paste: leases it if reads are counted, fetches, resumes after a broken connection, decrypts the stream, and
// confirms.
//
// Invariant: a limited paste uses one read, however often the connection breaks or the key is wrong, and only `confirm`
// confirms it. After a lost answer no other read is taken unless requested. Must never send a password unasked, nor the
// proofs of another paste.

import { Broken, passwordHeader, pour, request } from "./api.js";
import { proofs } from "./keys.js";
import * as leases from "./leases.js";
import { Opener, isSealed } from "./sealed.js";
import { t } from "./words.js";

/** Milliseconds to wait after each consecutive break. */
const PAUSES = [500, 1000, 2000, 4000];
/** Received data is moved into Blobs of this many bytes. */
const PIECE_BYTES = 4 << 20;

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

const isBreak = (error) => error instanceof Broken || error.status === 0 || error.status >= 500;

/** Consumes the stream: `open` returns an opener if the head looks sealed; anything else is stored as it is. */
class Intake {
  #open;
  #opener = null;
  #pieces = [];
  #heap = 0;
  #length = 0;

  constructor(open) {
    this.#open = open;
  }

  /** The offset to resume from. */
  get from() {
    return this.#opener ? this.#opener.verified : this.#length;
  }

  async take(bytes) {
    if (this.#opener) return this.#opener.push(bytes);
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    this.#heap += bytes.length;
    if (this.#heap > PIECE_BYTES) [this.#pieces, this.#heap] = [[new Blob(this.#pieces)], 0];
    // The first bytes decide; they nearly always arrive together.
    if (!this.#open || this.#length < 8 || this.#length - bytes.length >= 8) return;
    const head = await this.#all();
    const opener = this.#open(head);
    if (!opener) return;
    this.#pieces = [];
    this.#opener = opener;
    await this.#opener.push(head);
  }

  /** Discards what has to be fetched again after a break. */
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

/** Whether the server may have acted although the answer was lost: not if it refused. */
const isLost = (error) => error.status === 0 || error.status >= 500 && !error.code;

/** A read may have been taken: the answer was lost, and its lease with it. */
export class Unsure extends Error {}

/** A read of the paste with this id. */
export class Reading {
  #id;
  #path;
  /** Whether reads are counted. */
  #isLimited;
  #lease = null;
  #isConfirmed = false;
  /** Whether the server said that it does not count reads. */
  #isUncounted = false;

  constructor(id, isLimited) {
    this.#lease = isLimited ? leases.leaseOf(id) : null;
    this.#id = id;
    this.#path = `/${id}`;
    this.#isLimited = isLimited;
  }

  /** When the lease ends, in unix seconds; undefined without one. */
  get until() {
    return this.#lease?.expires_at;
  }

  /** How many reads are left, if known. */
  get left() {
    return this.#lease?.reads_left;
  }

  /**
   * Fetches the paste: `{ content }` if it was sealed, decrypted with `secrets`, else `{ upload }`. `password` is one the
   * server may see, or "". Throws the errors of `Opener`, refusals, Broken, and Unsure.
   */
  async fetch({ secrets, isGated, password, progress, pausing }) {
    const headers = isGated ? proofs(secrets) : password ? passwordHeader(password) : {};
    if (this.#isLimited && !this.#lease) await this.#take(headers);
    // If it cannot be fetched again, keep it whole: the key may be wrong.
    const isRepeatable = !this.#isLimited || this.#lease;
    const open = secrets && (secrets.open ?? ((head) => isSealed(head) && new Opener(secrets.root)));
    const make = () => new Intake(isRepeatable ? open : null);
    try {
      return await this.#transfer(this.#lease ? { "X-Lease": this.#lease.lease } : headers, make, { progress, pausing });
    } catch (error) {
      if (error.status === 404) leases.forget(this.#id);
      throw error;
    }
  }

  /** Takes a lease. A server without leases is read without one. */
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

  /** Whether a read without a lease was counted: the paste is gone, or has fewer reads than `before`. */
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

  /** Confirms to the server that the content arrived whole; does nothing without a lease. */
  async confirm() {
    if (!this.#lease || this.#isConfirmed) return;
    for (const milliseconds of [...PAUSES, 0]) {
      try {
        await request("DELETE", this.#path, { headers: { "X-Lease": this.#lease.lease } });
        break;
      } catch (error) {
        // The lease ended by itself, which is just as well.
        if (error.status === 404) break;
        if (!isBreak(error) || milliseconds === 0) throw error;
        await pause(milliseconds);
      }
    }
    this.#isConfirmed = true;
    leases.forget(this.#id);
  }
}
