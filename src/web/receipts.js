// What the server knows of the reads of a paste, for who created it.
//
// Invariant: it is asked with the delete token, which goes to this server alone. Must never ask for what makes a read count.

import { $, make, moment, on, say, show } from "./page.js";
import { request } from "./api.js";
import * as tokens from "./tokens.js";

/** So many of the pastes of this browser are listed. */
const LISTED = 20;
const PERIOD_SECONDS = 30;

const clock = (date) => date.toLocaleTimeString(undefined, { timeStyle: "short" });

function when(unix) {
  const date = new Date(unix * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? `today at ${clock(date)}` : `on ${moment(unix)}`;
}

/** A receipt as the end of a sentence. */
function words({ state, reads, last_read_at: last, ended_at: ended }) {
  const read = reads === 0 ? "" : reads === 1 ? `read ${when(last)}` : `read ${reads} times, last ${when(last)}`;
  const end = { expired: "expired", deleted: "deleted", removed: "removed by the operator" }[state];
  if (end) return `${read || "never read"}, ${end} ${when(ended)}`;
  if (state === "leased") return "being read";
  return read || "not read yet";
}

/** What is known of a paste; "" where that is nothing, or the server cannot be asked. */
async function receipt(id, token) {
  try {
    const answer = await request("GET", `/${id}/status`, { headers: { "X-Delete-Token": token } });
    return words(await answer.json());
  } catch (error) {
    if (error.status === 404) tokens.forget(id);
    return error.status === 404 ? "nothing is known of it any more" : "";
  }
}

/** Shows what becomes of a paste, as long as `isShown`, and somebody looks. */
export function follow({ id, delete_token: token }, isShown) {
  const look = async () => {
    if (!isShown()) return stop();
    const known = document.hidden ? "" : await receipt(id, token);
    if (known && isShown()) say("receipt", `As of ${clock(new Date())}: ${known}.`);
  };
  const timer = setInterval(look, PERIOD_SECONDS * 1000);
  document.addEventListener("visibilitychange", look);
  const stop = () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
  };
  say("receipt", "");
  show("own", true);
  look();
}

/** Offers a list of what this browser created, which asks the server when it is opened. */
export function offer() {
  show("own", tokens.recent(1).length > 0);
  on("own", "toggle", async () => {
    if (!$("own").open) return;
    const items = await Promise.all(tokens.recent(LISTED).map(async ({ id, token }) => {
      const item = make("li");
      item.append(make("code", id), await receipt(id, token) || "the server cannot be asked now");
      return item;
    }));
    $("receipts").replaceChildren(...items);
  });
}
