// Facts of documents and passages in words.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** A number of bytes: 1.4 MB. */
export function size(bytes) {
  let unit = 0;
  let number = bytes;
  while (number >= 1024 && unit < UNITS.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit > 0 && number < 10 ? number.toFixed(1) : Math.round(number)} ${UNITS[unit]}`;
}

/** A moment in ISO 8601 as a day: 3 May 2026. */
export function date(moment) {
  const parsed = new Date(moment);
  if (!moment || Number.isNaN(parsed.getTime())) return "";
  return parsed.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}

const LANGUAGES = new Intl.DisplayNames(["en"], { type: "language" });

/** The name of a language: German for "de". */
export function language(code) {
  return LANGUAGES.of(code);
}

/** A clause as a sentence. */
export function sentence(clause) {
  if (!clause) return "";
  return `${clause[0].toUpperCase()}${clause.slice(1)}${/[.!?]$/.test(clause) ? "" : "."}`;
}

/** Where a passage stands in its document: "page 3", "line 12" or nothing. */
export function place(passage) {
  if (passage.page) return `page ${passage.page}`;
  return passage.line ? `line ${passage.line}` : "";
}

/** The class and the word of a document's state. */
export const STATES = {
  ingested: ["chip", "Ready"],
  failed: ["chip chip-bad", "Failed"],
  pending: ["chip chip-warn", "Pending"],
};
