// Read receipts of a paste, for its creator.
//
// Invariant: requests use the delete token, which is sent only to this server. Must never request anything that counts as a
// read.

import { say } from "./page.js";
import { request } from "./api.js";
import { clock, moment, plural, t } from "./words.js";

const PERIOD_SECONDS = 30;

function when(unix) {
  const date = new Date(unix * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? t("page.today", { time: clock(date) }) : t("page.on", { when: moment(unix) });
}

/** A receipt in words, without a full stop. */
export function words({ state, reads, last_read_at: last, ended_at: ended }) {
  const read = reads === 0 ? "" : reads === 1 ? t("receipt.read", { when: when(last) })
    : plural("receipt.reads", reads, { when: when(last) });
  const end = { expired: "receipt.expired", deleted: "receipt.deleted", removed: "receipt.removed" }[state];
  if (end) return `${read || t("receipt.never")}, ${t(end, { when: when(ended) })}`;
  if (state === "asked") return t("receipt.asked");
  if (state === "leased") return t("receipt.reading");
  return read || t("receipt.unread");
}

/** Fetches the receipt of a paste with its token. Throws refusals. */
export async function status({ id, token }) {
  return (await request("GET", `/${id}/status`, { headers: { "X-Delete-Token": token } })).json();
}

/** The message for a refused receipt; "" if the server cannot be reached. */
const unknown = ({ status }) => (status === 404 ? t("receipt.unknown") : "");

/** Keeps showing the receipt of a paste while `isShown` and the page is visible. */
export function follow({ id, delete_token: token }, isShown) {
  const look = async () => {
    if (!isShown()) return stop();
    const known = document.hidden ? "" : await status({ id, token }).then(words, unknown);
    if (known && isShown()) say("receipt", t("receipt.asof", { time: clock(new Date()), state: known }));
  };
  const timer = setInterval(look, PERIOD_SECONDS * 1000);
  document.addEventListener("visibilitychange", look);
  const stop = () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
  };
  say("receipt", "");
  look();
}
