// Proof of work, with one worker per core.
//
// Invariant: the page stays responsive, and no worker is left when this returns, whatever the outcome.

import { answer, showProgress, tell } from "./page.js";
import { request } from "./api.js";
import { t } from "./words.js";

// Trusted Types: the only script that may run as a worker.
const solver = new URL("./solver.js", import.meta.url).href;
const policy = globalThis.trustedTypes?.createPolicy("flaskpaste-solver", { createScriptURL: () => solver });
const solverUrl = policy?.createScriptURL("") ?? solver;

/** The headers of a solved challenge, if the server requires one. */
export async function prove(signal) {
  if (!answer.pow.required) return {};
  const challenge = await (await request("GET", "/challenge", { signal })).json();
  if (!challenge.enabled) return {};
  const expected = 2 ** challenge.difficulty;
  tell(t("create.proving"));
  const solution = await solve(challenge, (tried) => showProgress(1 - Math.exp(-tried / expected)), signal);
  showProgress(0);
  return { "X-PoW-Token": challenge.token, "X-PoW-Solution": solution };
}

/**
 * Solves a challenge and returns the solution. `progress` is called with the hashes tried so far. Throws `signal`'s reason
 * if aborted, and an error if the browser cannot run workers.
 */
async function solve(challenge, progress, signal) {
  const count = Math.min(navigator.hardwareConcurrency || 2, 64);
  const workers = [];
  let tried = 0;
  try {
    return await new Promise((resolve, reject) => {
      signal.throwIfAborted();
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      for (let index = 0; index < count; index++) {
        const worker = new Worker(solverUrl);
        workers.push(worker);
        worker.onerror = () => reject(new Error(t("create.noworker")));
        worker.onmessage = ({ data }) => {
          progress(tried += data.tried);
          if (data.solution) resolve(data.solution);
        };
        worker.postMessage({ ...challenge, index, count });
      }
    });
  } finally {
    for (const worker of workers) worker.terminate();
  }
}
