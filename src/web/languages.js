// The languages for syntax highlighting: their grammars, language detection, and the tokeniser.
//
// Invariant: any text is tokenised in linear time. No pattern backtracks far: an unterminated token ends with the line or
// the text. Must never mistake prose for code: a guess needs something that prose does not start with.

const { raw } = String;
/** From one delimiter to the other, or to the end of the text. */
const span = (from, to) => raw`${from}[^]*?(?:${to}|(?![^]))`;
/** From a quote to the next unescaped one, or to the end of the line; with `long`, of the text. */
const quoted = (quote, long = false) => raw`(?<!\\)${quote}(?:[^${quote}\\${long ? "" : raw`\n`}]|\\[^])*${quote}?`;
/** A log level: in capitals, or in the usual position. */
const level = (names) => raw`\b(?:${names.toUpperCase()})\b|(?<=[[<"=])(?:${names})\b|\b(?:${names})(?=:)`;
/** A time, with or without a date. */
const TIME = raw`(?:\d{4}-\d\d-\d\d[T ]|[A-Z][a-z]{2} [ \d]\d )?\d\d:\d\d:\d\d[\d.,+:Z]*`;

/** Token patterns by kind, named as in style.css. If two start at the same place, the first wins. */
const PARTS = {
  error: { error: level("error|fatal|critical|panic"), removed: "^[-<](?!-- ).*" },
  warning: { warning: level("warning|warn") },
  comment: {
    slash: "//.*", block: span(raw`/\*`, raw`\*/`), hash: raw`(?<![^\s;&|()])#.*`, semicolon: "^;.*",
    lua: span(raw`--\[\[`, "]]"), dashes: "--.*", angle: span("<!--", "-->"), anglehash: span("<#", "#>"),
    time: raw`\b${TIME}`,
  },
  key: {
    info: level("info|notice|debug|trace"), at: raw`@[A-Za-z][\w.-]*`, variable: raw`\$(?:\w+|[({][^)}\n]*[)}]?|[@<^?*])`,
    member: raw`(?<!\\)"(?:[^"\\\n]|\\.)*"(?=\s*:)`, property: raw`(?<![\w-])[\w-]+(?=: )`,
    entry: raw`^[ \t]*(?:- +)*(?:"[^"\n]*"|[\w.][\w ./%-]*)(?=:\s|[:?+]?=)`, attribute: raw`(?<![\w:.-])[\w:.-]+(?==["'])`,
  },
  string: {
    added: raw`^[+>](?!\+\+ ).*`, triple: `${span('"""', '"""')}|${span("'''", "'''")}`,
    rust: span(raw`\br#+"`, '"#'), letter: raw`'(?:\\.[^'\n]*|[^\\'\n])'`, brackets: span(raw`\[\[`, "]]"),
    double: quoted('"'), single: quoted("'"), long: quoted('"', true), back: quoted("`", true), plain: raw`(?<!\\)(?:"[^"\n]*"?|'[^']*'?)`,
    heredoc: raw`<<-? ?["']?(?<tag>[A-Z]\w*)${span("", raw`^[ \t]*\k<tag>$`)}`,
    regex: raw`/(?<=[(,=:[!&|?{};]\s?/)(?![/*])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\]?)+/?\w*`,
    value: raw`(?<!\w)(?:${quoted('"')}|${quoted("'")})`,
  },
  number: { hunk: "^@@.*", number: raw`\b\d\w*(?:\.\d\w*)*`, hex: raw`#[\da-fA-F]{3,8}\b` },
  keyword: {
    directive: raw`^[ \t]*#(?:[ \t]*\w+|!?\[[^\]\n]*\]?)`, section: raw`^\[.*`, step: raw`^[A-Z]+\b`,
    tag: raw`<[/!?]?[A-Za-z][\w:.-]*|[/?]?>`, header: raw`^(?:diff|index|---|\+\+\+) .*`,
  },
};
export const KINDS = Object.keys(PARTS);

// Shared by several languages; only the most telling keywords.
const CURLY = "slash block double single number";
const SCRIPT = "hash double single number";
const FLOW = "break case const continue default do else enum false for if import in return static struct switch true while";
const CLASSES = `${FLOW} as async await bool boolean catch char class double extends finally float int interface long namespace new null private protected public super this throw try using var void`;
const BLOCKS = "and begin break do else elseif elsif end false for if in local next nil not or require return sub then true undef unless until while";

/** Name; file names and extensions; what its texts start with; tokens; keywords; flags. */
const LANGUAGES = [
  ["PHP", "php", /^<\?php/m, `${CURLY} hash`, `${CLASSES} echo elseif foreach function use`],
  ["HTML / XML", "html htm xml svg vue", /^\s*<(?:!doctype|\?xml|html|svg)\b/i, "angle attribute value tag"],
  ["JSON", "json jsonl", /^\s*(?:\[\s*)?\{\s*"[^"\n]*"\s*:/, "slash block member double number", "true false null"],
  ["Diff", "diff patch", /^(?:diff --git |--- .*\s\+\+\+ )/m, "header added removed hunk"],
  ["Log", "log", new RegExp(raw`(?:^\[?${TIME}\]? .*\s*){2}`, "m"), "time error warning info"],
  ["C / C++", "c h cc cpp hpp", /^#(?:include [<"]|ifndef |define )/m, `${CURLY} directive`,
    `${CLASSES} auto delete nullptr sizeof template typedef union unsigned`],
  ["C#", "cs", /^using [\w.]+;/m, `${CURLY} directive`, `${CLASSES} foreach get is object override readonly set string`],
  ["Java", "java", /^(?:(?:package|import) [\w.*]+;|public class )/m, `triple ${CURLY} at`,
    `${CLASSES} final implements instanceof package throws`],
  ["Go", "go", /^package \w+$/m, `${CURLY} back`, `${FLOW} chan defer func go interface map nil package range type var`],
  ["Rust", "rs", /^(?:(?:pub )?fn \w+[<(]|use \w+::|#!?\[\w)/m, "slash block rust long letter directive number",
    `${FLOW} as async await dyn fn impl let loop match mod move mut pub self Self trait type unsafe use where`],
  ["JavaScript / TypeScript", "js mjs jsx ts tsx node",
    /^(?:import .* from ["']|(?:export )?(?:const|let) \w+ = )/m, `${CURLY} back regex at`,
    `${CLASSES} export from function instanceof let of typeof undefined`],
  ["Kotlin / Swift", "kt kts swift", /^(?:fun|func|data class) \w+\(/m, `triple ${CURLY} at`,
    `${CLASSES} fun func guard is let nil override self val when`],
  ["Python", "py python", /^(?:from [\w.]+ import |import (?:os|re|sys)$|\s*def \w+\(.*:$)/m, `triple ${SCRIPT} at`,
    "and as async await break class continue def elif else except False finally for from if import in is lambda None not or pass raise return True try while with yield"],
  ["Ruby", "rb gemfile rakefile ruby", /^ *def \w[^]*?^ *end$/m, SCRIPT,
    `${BLOCKS} case class def module rescue self when yield`],
  ["Perl", "pl pm perl", /^(?:use strict;|my [$@%])/m, SCRIPT, `${BLOCKS} foreach last my our package print use`],
  ["Lua", "lua", /^local (?:\w+ =|function) /m, "lua dashes brackets double single number", `${BLOCKS} function repeat`],
  ["SQL", "sql", /^(?:SELECT\s[^]+?\sFROM|INSERT INTO|CREATE TABLE)\s/m, "dashes block plain number",
    "and as by create delete distinct drop from group having if in insert into is join left limit not null on or order select set table union update values where with", "i"],
  ["PowerShell", "ps1 pwsh", /^(?:\$\w+ = |function )[A-Z]\w+-[A-Z]/m,
    "anglehash hash plain variable number", `${FLOW} catch elseif finally foreach function param throw try`, "i"],
  ["Dockerfile", "dockerfile", /^FROM \S[^]*?^(?:RUN|COPY|CMD) /m, "hash value variable step"],
  ["Makefile", "makefile mk", /^\.PHONY:/m, "hash value variable entry", "else endif export ifdef ifeq ifndef ifneq include"],
  ["CSS", "css scss less", /^(?:[.#@:][\w, .-]+|[a-z]+) \{\s+[a-z-]+:/m, "block double single at property hex number"],
  ["INI / TOML", "ini toml conf cfg env service", /^(?:\[[\w. "-]+\]\s+[\w."-]+ *=|(?:[A-Z\d_]+=.*\r?\n){2})/m,
    "hash semicolon triple value section entry number", "true false yes no on off"],
  ["YAML", "yaml yml", /^[\w-]+:\r?\n +(?:- )?[\w-]+:\s/m, "hash value entry number", "true false null yes no"],
  ["Shell", "sh bash zsh bashrc zshrc", /^(?:set -e|export \w+=|sudo \w|if \[)/m, "hash heredoc long plain variable",
    "break case continue do done elif else esac exit export fi for function if in local return set shift then until while"],
];

/** Files that are never coloured, whatever they start with. */
const PROSE = "txt md rst tex csv tsv pem crt key pub asc";
/** How much of a text is examined. */
const HEAD_LETTERS = 2000;
const has = (words, word) => words.split(" ").includes(word);

/** The names of all languages. */
export const NAMES = LANGUAGES.map(([name]) => name).sort();

/** The language of a file, by its name or else its first lines; "" if unknown. */
export function guess(file, text) {
  const named = (word) => LANGUAGES.find(([, files]) => has(files, word))?.[0];
  for (const word of (file ?? "").toLowerCase().split("/").pop().split(".").reverse()) {
    if (has(PROSE, word)) return "";
    if (named(word)) return named(word);
  }
  const head = text.slice(0, HEAD_LETTERS).replace(/^\uFEFF/, "");
  const program = /^#! ?\S*\/(?:env (?:-\S+ )*)?([a-z]+)/.exec(head)?.[1];
  if (program) return named(program) ?? "";
  // A mail may quote code.
  if (/^ {0,3}(?:```|~~~|-----BEGIN )/m.test(head)) return "";
  return LANGUAGES.find(([, , beginning]) => beginning.test(head))?.[0] ?? "";
}

/** One pattern for all tokens of a language, with a group for each kind. Any other word is a token without a kind. */
function pattern([, , , names, words = "", flags = ""]) {
  const groups = KINDS.map((kind) => {
    const sources = names.split(" ").flatMap((name) => PARTS[kind][name] ?? []);
    if (kind === "keyword" && words) sources.push(raw`\b(?<![$.:-])(?:${words.replaceAll(" ", "|")})\b(?![$-])`);
    return sources.length > 0 ? `(?<${kind}>${sources.join("|")})|` : "";
  });
  return new RegExp(raw`${groups.join("")}\w+`, `gm${flags}`);
}

/** The tokens of a text in order: `[kind, from, to]`; uncoloured ones have no kind. */
export function* parts(text, language) {
  const found = text.matchAll(pattern(LANGUAGES.find(([name]) => name === language)));
  for (const { 0: { length }, index, groups = {} } of found) {
    yield [KINDS.find((kind) => groups[kind] !== undefined), index, index + length];
  }
}
