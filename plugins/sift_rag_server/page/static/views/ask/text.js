// Texts of passages as they can be read: tables as tables, code as code, everything else as it is written.

import { h, safe } from "../../lib/dom.js";

const CODE = /\.(?:c|cc|cpp|cs|css|go|h|hpp|java|jl|js|json|jsonl|kt|lua|php|pl|ps1|py|r|rb|rs|sh|sql|swift|toml|ts|tsx|xml|ya?ml)$/i;
const MARKDOWN = /\.(?:ipynb|markdown|md|mdx|qmd|rmd)$/i;
const SOFT_BREAK = /(?<!^#{1,6} .*)(?<![\n:]| {2})\n(?=[^\s#>*+\-\d])/gm; // within a paragraph
const FENCE = /^ {0,3}(?:```|~~~)/;
const ROW = /^\s*\|.*\|\s*$/;
const RULE = /^\s*\|(?:\s*:?-+:?\s*\|)+\s*$/;

/** The text of a passage of the document `source` as elements, with words in <mark>. */
export function readable(shown, source, words) {
  if (CODE.test(source)) return h("pre", {}, marked(shown, words));
  return blocks(shown).map(({ kind, lines }) => {
    if (kind === "table") return table(lines, words);
    if (kind === "code") return h("pre", {}, marked(lines.join("\n"), words));
    const text = lines.join("\n").replace(/^\n+|\n+$/g, "");
    return text && h("p", {}, MARKDOWN.test(source) ? inline(text.replace(SOFT_BREAK, " "), words) : marked(text, words));
  });
}

function blocks(shown) {
  const found = [];
  let fenced = false;
  for (const line of shown.split("\n")) {
    if (FENCE.test(line)) {
      fenced = !fenced;
      found.push({ kind: fenced ? "code" : "text", lines: [] });
      continue;
    }
    const kind = fenced ? "code" : ROW.test(line) ? "table" : "text";
    if (found.at(-1)?.kind !== kind) found.push({ kind, lines: [] });
    found.at(-1).lines.push(line);
  }
  return found;
}

function table(lines, words) {
  const headed = lines.length > 1 && RULE.test(lines[1]);
  const row = (line, tag) => h("tr", {}, cells(line).map((cell) => h(tag, {}, inline(cell, words))));
  const rows = lines.filter((line) => !RULE.test(line));
  const wide = cells(lines[0]).length > 3;
  return h("div", wide ? { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" } : {},
    h("table", { class: wide ? "text-table is-wide" : "text-table" },
      headed && h("thead", {}, row(rows[0], "th")),
      h("tbody", {}, rows.slice(headed ? 1 : 0).map((line) => row(line, "td")))));
}

/** A text with what stands between backticks as code. */
function inline(text, words) {
  return text.split(/`([^`\n]+)`/).map((part, place) => (place % 2 ? h("code", {}, marked(part, words)) : marked(part, words)));
}

const cells = (line) => line.trim().slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));

/** A text with words in <mark>. */
export function marked(shown, words) {
  if (!words?.length) return shown;
  const escaped = words.map((word) => safe(word).replace(/[.*+?^${}()|[\]\\\-/]/g, "\\$&")).sort((a, b) => b.length - a.length);
  const found = new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join("|")})(?![\\p{L}\\p{N}])`, "giu");
  const parts = [];
  let from = 0;
  for (const one of shown.matchAll(found)) {
    parts.push(shown.slice(from, one.index), h("mark", {}, one[0]));
    from = one.index + one[0].length;
  }
  return [...parts, shown.slice(from)];
}

/** The text without the heading lines at its start that `told` says already. */
export function withoutHeadings(text, told) {
  const lines = text.split("\n");
  let from = 0;
  for (; from < lines.length; from++) {
    const heading = /^#{1,6} +(.*?)(?: +#+)?\s*$/.exec(lines[from]);
    if (lines[from].trim() && !(heading && told.includes(heading[1].trim()))) break;
  }
  return from < lines.length ? lines.slice(from).join("\n").trimEnd() : text.trim();
}
