// The words of a page in its language, and numbers, sizes and times as that language writes them.
//
// Invariant: words are text, with values in their places; all of them come from one file a language, which the server chose.
// Must never make a sentence out of parts that another language puts in another order.

const { default: words } = await import(document.body.dataset.words);
const { lang: language } = document.documentElement;
/** The language as it is written where the reader lives, if the browser tells that. */
const locale = navigator.languages.find((tag) => tag.startsWith(`${language}-`)) ?? language;
const plurals = new Intl.PluralRules(language);

/** What stands under a key, with values in the places that have their names. */
export const t = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** The same of a number, `n`, which decides between the words under a key. */
export function plural(key, n, values) {
  const own = `${key}.${plurals.select(n)}`;
  return t(own in words ? own : `${key}.other`, { n, ...values });
}

/** Sentences one after the other; what is no sentence is left out. */
export const sentences = (...all) => all.filter(Boolean).join(words["page.space"]);

/** A refusal of the server, by its stable code, where this language has words for it: what is wrong, and what to do. */
export const refusal = (code) => words[`error.${code}`]?.split("|");

/** So many of a unit that `Intl` knows. */
const count = (unit, n) => new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(n);

/** A number of bytes, for people. */
export function size(bytes) {
  if (bytes < 1024) return count("byte", bytes);
  const tenths = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return bytes < 1048576 ? `${tenths.format(bytes / 1024)} KiB` : `${tenths.format(bytes / 1048576)} MiB`;
}

/** A number of seconds in the largest unit that is not off by more than a twentieth: how many of which. */
function inUnits(seconds) {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const fits = ([, length]) => Math.abs(Math.round(seconds / length) * length - seconds) <= seconds / 20;
  const [unit, length] = units.find(fits) ?? units[3];
  return [Math.round(seconds / length), unit];
}

/** A number of seconds, for people. */
export function duration(seconds) {
  const [n, unit] = inUnits(seconds);
  return count(unit, n);
}

/** When so many seconds have passed, for people: "in 5 days". */
export const fromNow = (seconds) => new Intl.RelativeTimeFormat(locale).format(...inUnits(seconds));

/** A moment in unix seconds, for people. */
export const moment = (unix) => new Date(unix * 1000).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });

/** The time of day. */
export const clock = (date) => date.toLocaleTimeString(locale, { timeStyle: "short" });
