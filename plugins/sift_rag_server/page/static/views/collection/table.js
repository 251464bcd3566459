// The list of documents: a table, which becomes cards where it is narrow.

import { count, h } from "../../lib/dom.js";
import * as state from "../../lib/state.js";
import { date, language, sentence, size, STATES } from "./facts.js";

// Roles are named, since a table that is laid out as cards would lose its own.
export function table(documents, collection) {
  return h("table", { class: "data documents-table", role: "table", "aria-label": "Documents" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      heading("Document"), heading("State"), heading("Language"), heading("Passages", "number"), heading("Size", "number"), heading("Added"))),
    h("tbody", { role: "rowgroup" }, documents.map((one) => row(one, collection))));
}

function heading(text, kind = "") {
  return h("th", { scope: "col", role: "columnheader", class: kind }, text);
}

function row(one, collection) {
  const [kind, word] = STATES[one.state] ?? ["chip", one.state];
  return h("tr", { role: "row" },
    h("td", { role: "cell", class: "documents-name" },
      h("a", { href: state.hash("documents", { collection, source: one.source }) }, one.source),
      one.title && h("div", { class: "hint" }, one.title),
      one.state === "failed" && h("div", { class: "documents-reason" }, sentence(one.reason)),
      one.state === "pending" && h("div", { class: "hint" }, "An ingest has begun and not ended. The next one completes it."),
      one.notices.map((notice) => h("div", { class: "hint" }, sentence(notice)))),
    h("td", { role: "cell" }, h("span", { class: kind }, word),
      one.pages_without_text > 0 &&
        h("span", { class: "chip chip-warn documents-scans" }, count(one.pages_without_text, "page"), " without text")),
    h("td", { role: "cell", class: "documents-language" }, one.language && language(one.language)),
    h("td", { role: "cell", class: "number", "data-unit": one.passages === 1 ? "passage" : "passages" }, one.passages.toLocaleString("en")),
    h("td", { role: "cell", class: "number" }, size(one.size)),
    h("td", { role: "cell", class: "documents-date" }, date(one.ingested_at)));
}
