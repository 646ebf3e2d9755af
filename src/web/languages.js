// The languages that a text can be coloured in: what each is made of, which one a text is, and the parts of a text.
//
// Invariant: any text is taken apart in time linear in its length. No pattern fails after a long way: what is never closed
// ends with the line or the text. Must never take prose for code: a guess wants what prose does not begin with.

/** The kinds of parts, as style.css names them. Of two that begin at one place, the first counts; "" has no colour. */
export const KINDS = ["", "time", "error", "warning", "info", "added", "removed", "hunk", "comment", "key", "string", "number", "keyword"];

const { raw } = String;
const REST = raw`[^\n]*`;
const until = (end) => raw`[^]*?(?:${end}|(?![^]))`;
const quoted = (quote, end = raw`\n`) => raw`${quote}(?:[^${quote}\\${end}]|\\[^])*${quote}?`;
const heredoc = (gap) => raw`<<[<~-]?${gap}["']?(?<tag>[A-Z_]\w*)${REST}(?:\n${until(raw`^[ \t]*\k<tag>\b`)})?`;
const CLOCK = raw`\d\d:\d\d:\d\d(?:[.,]\d+)?`;
const STAMP = raw`\b\d{4}-\d\d-\d\d[T ]${CLOCK}(?:Z|[+-]\d\d:?\d\d)?|^[A-Z][a-z]{2} [ \d]\d ${CLOCK}|\b\d\d/[A-Z][a-z]{2}/\d{4}:${CLOCK}`;
/** A level, in capitals or where levels stand. */
const level = (names) => raw`\b(?:${names.toUpperCase()})\b|(?<=[[<"=])(?:${names})\b|\b(?:${names})(?=:)`;

/** What languages are made of, by kind. */
const PARTS = {
  "": { escape: raw`\\[^]` },
  time: { time: raw`${STAMP}|(?<![\d:])${CLOCK}` },
  error: { error: level("error|fatal|critical|crit|panic|severe") },
  warning: { warning: level("warning|warn") },
  info: { info: level("info|notice|debug|trace") },
  added: { added: raw`^[+>](?!\+\+ )${REST}` },
  removed: { removed: raw`^[-<](?!-- )${REST}` },
  hunk: { hunk: `^@@${REST}` },
  comment: {
    slash: `//${REST}`, block: raw`/\*${until(raw`\*/`)}`, hash: raw`(?<![^\s;&|()])#${REST}`, semicolon: raw`^[ \t]*;${REST}`,
    long: raw`--\[(?<long>=*)\[${until(raw`\]\k<long>\]`)}`, dashes: `--${REST}`, angle: `<!--${until("-->")}`,
    anglehash: `<#${until("#>")}`, pod: raw`^=[a-z]+\b${until(raw`^=(?:cut|end)\b`)}`,
  },
  key: {
    decorator: raw`@[A-Za-z_][\w.]*`, hashed: raw`#!?\[[^\]\n]*\]?`, variable: raw`\$(?:\w+|[({][^)}\n]*[)}]?|[@<^?*])`,
    target: raw`^[^\s:#=][^:=\n]*(?=::?(?!=))`, name: raw`(?<![\w:@.-])[\w:@.-]+(?==["'])`,
    member: raw`"(?:[^"\\\n]|\\.)*"(?=\s*:)`, entry: raw`^[ \t]*(?:- +)*(?:"[^"\n]*"|[\w$./][\w ./$-]*)(?=:(?!\S))`,
    setting: raw`^[ \t]*(?:export )?[\w.$"'-]+(?=[ \t]*=)`, property: raw`(?<![\w-])-{0,2}[a-z][\w-]*(?=:[ \t])`,
  },
  string: {
    triple: raw`(?<triple>"""|''')(?:[^\\]|\\[^])*?(?:\k<triple>|(?![^]))`, rust: raw`\br(?<raw>#*)"${until(raw`"\k<raw>`)}`,
    verbatim: `@"(?:[^"]|"")*"?`, lua: raw`\[\[${until("]]")}`, double: quoted('"'), single: quoted("'"),
    doubles: quoted('"', ""), template: quoted("`", ""), back: "`[^`]*`?", plain: "'[^']*'?", power: '"(?:[^"`]|`[^])*"?',
    letter: raw`'(?:\\[^\n][^'\n]{0,9}|[^\\'\n])'`, heredoc: heredoc(""), shelldoc: heredoc(" ?"),
    regex: raw`/(?<=[(,=:[!&|?{};]\s{0,9}/)(?![/*])(?:[^/\\[\n]|\\[^]|\[(?:[^\]\\\n]|\\[^])*\]?)+/?\w*`,
    value: raw`(?<![\w\\])(?:${quoted('"')}|${quoted("'")})`, attribute: raw`(?<==)(?:"[^"]*"?|'[^']*'?)`,
  },
  number: {
    number: raw`\b(?<!\$)\d\w*(?:\.\d\w*)*`, whole: raw`(?<![\w$.:/%-])-?\d\w*(?:\.\d+)*(?![\w.:/%-])`,
    size: raw`#[\da-f]{3,8}\b|(?<![\w-])-?\.?\d[\w.]*%?`,
  },
  keyword: {
    directive: raw`^[ \t]*#[ \t]*\w+`, section: raw`^[ \t]*\[[^\]\n]*\]*`, tag: raw`<[/!?]?[A-Za-z][\w:.-]*|[/?]?>`,
    rule: raw`@[\w-]+`, step: raw`^[A-Z]+ | AS `, make: raw`^-?(?:ifn?eq|ifn?def|else|endif|include|export)\b`,
    header: raw`^(?:diff |index |--- |\+\+\+ |(?:new|deleted) file|Index: )${REST}`,
  },
};

// What several languages have in common.
const CURLY = "slash block double single number";
const FLOW = "break case const continue default do else enum for if return static struct switch true false while";
const TYPES = "bool char double float int long short void";
const OBJECTS = "abstract catch class extends finally implements import instanceof interface new null private protected public super this throw try";
const SCRIPTED = "hash pod heredoc double single number";
const SCRIPT = "and break do else end false for if in not or return then true until while";

/** Name; names and extensions of its files; what its texts begin with; its parts; its words; flags. */
const TABLE = [
  ["PHP", "php", /^<\?php/m, `${CURLY} hash heredoc`, `${FLOW} ${OBJECTS} as echo elseif fn foreach function include namespace require require_once trait use`],
  ["HTML / XML", "html htm xml svg vue", /^\s*<(?:!doctype|\?xml|html|svg|head|body)\b/i, "angle name attribute tag"],
  ["JSON", "json jsonc jsonl ipynb", /^\s*(?:\[\s*)?\{\s*(?:"[^"\n]*"\s*:|\}\s*$)|^\s*\[\s*"[^"\n]*"\s*,/, "slash block member double number", "true false null"],
  ["Diff", "diff patch", /^(?:diff --git |--- \S.*\r?\n\+\+\+ \S|@@ -\d)/m, "header added removed hunk"],
  ["Log", "log syslog", new RegExp(raw`(?:^(?:(?:\S+ ){0,3}\[?(?:${STAMP})(?: [+-]\d{4})?\]?|\[?(?:ERROR|WARN(?:ING)?|INFO|DEBUG)\]?:?) .*\n?){2}`, "m"), "time error warning info"],
  ["Dockerfile", "dockerfile containerfile", /^FROM \S+(?: AS \S+)?\r?\n[^]*^(?:RUN|COPY|CMD|ENTRYPOINT|WORKDIR|ENV) /m, "hash value variable step"],
  ["Makefile", "makefile mk", /^\.PHONY:|^[a-z][\w.%-]*:(?: [\w.%/ -]*)?\r?\n\t\S/m, "hash value variable target make"],
  ["C / C++", "c h cc cpp cxx hpp ino", /^#(?:include\s*[<"]|ifn?def \w|pragma |define [A-Z_])/m, `${CURLY} directive`, `${FLOW} ${TYPES} ${OBJECTS} auto constexpr delete extern goto inline namespace NULL nullptr operator sizeof template typedef union unsigned using virtual`],
  ["C#", "cs", /^using [\w.]+;|^namespace [\w.]+\s*[;{]/m, `triple verbatim ${CURLY}`, `${FLOW} ${TYPES} ${OBJECTS} as async await base byte foreach get in is namespace object out override readonly ref sealed set string using var virtual`],
  ["Java", "java groovy gradle", /^(?:package [\w.]+;|import (?:static )?[\w.*]+;|public (?:final |abstract )?(?:class|interface) )/m, `triple ${CURLY} decorator`, `${FLOW} ${TYPES} ${OBJECTS} boolean byte final package record synchronized throws var`],
  ["Go", "go", /^package \w+\s*$[^]*^(?:func|import|type|var|const)\b/m, `${CURLY} back`, `${FLOW} chan defer func go import interface map nil package range select type var`],
  ["Rust", "rs", /^\s*(?:pub )?(?:fn \w+[<(]|use \w+::|impl\b.*\{\s*$|(?:struct|enum|trait) \w+.*\{$)|^#!?\[\w+/m, "slash block rust doubles letter hashed number", `${FLOW} as async await crate dyn fn impl in let loop match mod move mut pub ref self Self super trait type unsafe use where`],
  ["Kotlin / Swift", "kt kts swift", /^(?:fun \w+\(|data class [A-Z]|import (?:Foundation|UIKit|SwiftUI)$|func \w+\(.*\{\s*$|val \w+\s*[:=])/m, `triple ${CURLY} decorator`, `${FLOW} ${OBJECTS} as data defer extension fun func guard in init is let nil object open override package protocol self struct suspend throws val var when`],
  ["JavaScript / TypeScript", "js mjs cjs jsx ts mts tsx node deno", /^(?:import .*\bfrom ["']|import ["']|(?:export )?(?:const|let|var) (?:\w+|[{[][^=\n]*) = |(?:export )?(?:async )?function \w*\(|["']use strict|module\.exports|export default )/m, `${CURLY} template regex decorator`, `${FLOW} ${OBJECTS} as async await delete export from function in let of readonly type typeof undefined var void yield`],
  ["Python", "py pyi python", /^(?:from [\w.]+ import [\w*(]|import \w+(?:\.\w+)*(?: as \w+)?\r?\n(?:import |from |\r?\n)|\s*(?:async )?def \w+\(.*\).*:\s*$|class \w+(?:\(.*\))?:\s*$|if __name__ ==)/m, "hash triple double single decorator number", "and as assert async await break case class continue def del elif else except False finally for from global if import in is lambda match None nonlocal not or pass raise return self True try while with yield"],
  ["Ruby", "rb gemspec gemfile rakefile ruby", /^(?:require(?:_relative)? ["']|(?:(?:class|module) [A-Z]|\s*def \w|.* do \|)[^]*^\s*end\b)/m, SCRIPTED, `${SCRIPT} begin case class def elsif ensure module next nil require require_relative rescue self super unless when yield`],
  ["Perl", "pl pm perl", /^(?:use (?:strict|warnings)\b|my [$@%(]|sub \w+ ?\{)/m, SCRIPTED, `${SCRIPT} die elsif eq foreach last local my ne next our package print require sub undef unless use`],
  ["Lua", "lua", /^local (?:\w+(?:, \w+)* = |function \w+\()|^function [\w.:]+\(.*\)$/m, "long dashes lua double single number", `${SCRIPT} elseif function goto local nil repeat`],
  ["SQL", "sql", /^(?:--.*\n|\s)*(?:SELECT\s[^]+\sFROM\s|INSERT INTO |UPDATE \w+ SET |DELETE FROM |(?:CREATE|ALTER|DROP) [A-Z]+ |WITH \w+ AS|BEGIN;|create table \w)/, "dashes block plain number", "all alter and as asc begin between by case commit create default delete desc distinct drop else end exists foreign from group having if in index inner insert into is join key left like limit not null on or order outer primary references returning select set table then union unique update values view when where with", "i"],
  ["PowerShell", "ps1 psm1 pwsh", /^(?:param\s*\(|function [A-Z]\w+-\w+|(?:\$\w+ = )?(?:Get|Set|New|Write|Import)-[A-Z]\w+ [-$"'])/m, "anglehash hash power plain variable number", `${FLOW} catch elseif exit finally foreach function in param throw try until`, "i"],
  ["CSS", "css scss less", /^(?:@(?:import|media|charset|font-face)\b|[.#:*a-z][\w.#:*>, -]*\{\s*-{0,2}[a-z][\w-]*:[^;{}]+;)/m, "block double single rule property size"],
  ["INI / TOML", "ini toml conf cfg env service", /^\[\[?[\w.:"' -]+\]\]?[ \t]*\r?\n(?:[#;].*\n|\s)*[\w."-]+[ \t]*=|(?:^(?:export )?[A-Z][A-Z\d_]*=.*\r?\n?){2}/m, "hash semicolon triple value section setting whole", "true false yes no on off"],
  ["YAML", "yaml yml", /^[\w.-]+:[ \t]*\r?\n(?:[ \t]*#.*\n)*[ \t]+(?:- )?[\w.-]+:\s|^---\r?\n(?:- )?(?:hosts|name|apiVersion):/m, "hash value entry whole", "true false null yes no"],
  ["Shell", "sh bash zsh ksh ash dash bashrc zshrc profile", /^(?:set -[eux]|export \w+=|sudo \w|if \[\[? )/m, "escape hash shelldoc plain doubles variable", "break case continue declare do done elif else esac exit export fi for function if in local readonly return set shift source then trap unset until while"],
];

/** What files are called in which nothing is coloured, whatever they begin with. */
const PROSE = "txt text md rst adoc org tex csv tsv pem crt key pub asc eml";
/** So much of a text is looked at. */
const HEAD_LETTERS = 2000;
const has = (words, word) => words.split(" ").includes(word);

/** The names of all languages. */
export const NAMES = TABLE.map(([name]) => name).sort();

/** The language of a file: by its name, if that tells, or by its first lines; "" if it is none. */
export function guess(file, text) {
  const named = (word) => TABLE.find(([, names]) => has(names, word))?.[0];
  for (const word of (file ?? "").toLowerCase().split("/").pop().split(".").reverse()) {
    if (has(PROSE, word)) return "";
    if (named(word)) return named(word);
  }
  const head = text.slice(0, HEAD_LETTERS).replace(/^\uFEFF/, "");
  const program = /^#! ?\S*\/(?:env (?:-\S+ )*)?([a-z]+)/.exec(head)?.[1];
  if (program) return named(program) ?? "";
  // A letter may quote code.
  return /^ {0,3}(?:```|~~~|-----BEGIN )/m.test(head) ? "" : TABLE.find(([, , first]) => first.test(head))?.[0] ?? "";
}

/** One pattern for all parts of a language, with a group for each kind. */
function pattern([, , , names, words = "", flags = ""]) {
  const group = (kind) => {
    const sources = names.split(" ").flatMap((name) => PARTS[kind][name] ?? []);
    if (kind === "keyword" && words) sources.push(raw`\b(?<![$.-])(?:${words.replaceAll(" ", "|")})\b(?![$-])`);
    return sources.length > 0 ? [`(${kind && `?<${kind}>`}${sources.join("|")})`] : [];
  };
  return new RegExp(KINDS.flatMap(group).join("|"), `gm${flags}`);
}

/** The parts of a text that have a colour, in their order: `[kind, from, to]`. One of no kind tells that work was done. */
export function* parts(text, language) {
  const found = text.matchAll(pattern(TABLE.find(([name]) => name === language)));
  for (const { 0: { length }, index, groups } of found) {
    yield [KINDS.find((kind) => groups[kind] !== undefined) ?? "", index, index + length];
  }
}
