// Proof of work, shared among one worker a core.
//
// Invariant: the page stays responsive; when this returns, however, no worker is left.

import { answer, showProgress, tell } from "./page.js";
import { request } from "./api.js";
import { t } from "./words.js";

// Trusted Types: the one script that may be run as a worker.
const solver = new URL("./solver.js", import.meta.url).href;
const policy = globalThis.trustedTypes?.createPolicy("flaskpaste-solver", { createScriptURL: () => solver });
const solverUrl = policy?.createScriptURL("") ?? solver;

/** The headers of a solved challenge, where the server asks for one. */
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
 * Solves a challenge; its solution. `progress` is called with the hashes tried so far. Throws `signal`'s reason when it
 * is aborted, and an error when the browser runs no workers.
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
