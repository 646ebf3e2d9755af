// The words of a page in its language, and the formatting of numbers, sizes and times.
//
// Invariant: words are text with placeholders, from one file per language, which the server chose. Must never build a
// sentence from parts that another language would order differently.

const { default: words } = await import(document.body.dataset.words);
const { lang: language } = document.documentElement;
/** The reader's regional variant of the language, if the browser has one. */
const locale = navigator.languages.find((tag) => tag.startsWith(`${language}-`)) ?? language;
const plurals = new Intl.PluralRules(language);

/** The words for a key, with placeholders filled in. */
export const t = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** The same with a number, `n`, which selects the plural form. */
export function plural(key, n, values) {
  const own = `${key}.${plurals.select(n)}`;
  return t(own in words ? own : `${key}.other`, { n, ...values });
}

/** Joins sentences; empty ones are left out. */
export const sentences = (...all) => all.filter(Boolean).join(words["page.space"]);

/** The message for a refusal with this stable code, if this language has one: what is wrong, and what to do. */
export const refusal = (code) => words[`error.${code}`]?.split("|");

/** A quantity in a unit of `Intl`. */
const count = (unit, n) => new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(n);

/** A number of bytes, for people. */
export function size(bytes) {
  if (bytes < 1024) return count("byte", bytes);
  const tenths = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return bytes < 1048576 ? `${tenths.format(bytes / 1024)} KiB` : `${tenths.format(bytes / 1048576)} MiB`;
}

/** Seconds in the largest unit that is accurate to 5 percent: number and unit. */
function inUnits(seconds) {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const fits = ([, length]) => Math.abs(Math.round(seconds / length) * length - seconds) <= seconds / 20;
  const [unit, length] = units.find(fits) ?? units[3];
  return [Math.round(seconds / length), unit];
}

/** A duration in seconds, for people. */
export function duration(seconds) {
  const [n, unit] = inUnits(seconds);
  return count(unit, n);
}

/** A time this many seconds from now, for people: "in 5 days". */
export const fromNow = (seconds) => new Intl.RelativeTimeFormat(locale).format(...inUnits(seconds));

/** A moment in unix seconds, for people. */
export const moment = (unix) => new Date(unix * 1000).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });

/** The time of day. */
export const clock = (date) => date.toLocaleTimeString(locale, { timeStyle: "short" });
