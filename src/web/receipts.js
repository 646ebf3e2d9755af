// What the server knows of the reads of a paste, for who created it.
//
// Invariant: it is asked with the delete token, which goes to this server alone. Must never ask for what makes a read count.

import { $, make, on, say, show } from "./page.js";
import { request } from "./api.js";
import * as tokens from "./tokens.js";
import { clock, moment, plural, t } from "./words.js";

/** So many of the pastes of this browser are listed. */
const LISTED = 20;
const PERIOD_SECONDS = 30;

function when(unix) {
  const date = new Date(unix * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? t("page.today", { time: clock(date) }) : t("page.on", { when: moment(unix) });
}

/** What a receipt says, without a full stop. */
function words({ state, reads, last_read_at: last, ended_at: ended }) {
  const read = reads === 0 ? "" : reads === 1 ? t("receipt.read", { when: when(last) })
    : plural("receipt.reads", reads, { when: when(last) });
  const end = { expired: "receipt.expired", deleted: "receipt.deleted", removed: "receipt.removed" }[state];
  if (end) return `${read || t("receipt.never")}, ${t(end, { when: when(ended) })}`;
  if (state === "leased") return t("receipt.reading");
  return read || t("receipt.unread");
}

/** What is known of a paste; "" where that is nothing, or the server cannot be asked. */
async function receipt(id, token) {
  try {
    const answer = await request("GET", `/${id}/status`, { headers: { "X-Delete-Token": token } });
    return words(await answer.json());
  } catch (error) {
    if (error.status === 404) tokens.forget(id);
    return error.status === 404 ? t("receipt.unknown") : "";
  }
}

/** Shows what becomes of a paste, as long as `isShown`, and somebody looks. */
export function follow({ id, delete_token: token }, isShown) {
  const look = async () => {
    if (!isShown()) return stop();
    const known = document.hidden ? "" : await receipt(id, token);
    if (known && isShown()) say("receipt", t("receipt.asof", { time: clock(new Date()), state: known }));
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
      item.append(make("code", id), await receipt(id, token) || t("receipt.unreachable"));
      return item;
    }));
    $("receipts").replaceChildren(...items);
  });
}
