// The documents of a collection: a list to search and filter, the passages of one, and what adds, deletes, compares.

import * as api from "../lib/api.js";
import { count, debounced, h, replace } from "../lib/dom.js";
import * as state from "../lib/state.js";
import { adding } from "./collection/adding.js";
import { showDocument } from "./collection/document.js";
import { duplicates } from "./collection/duplicates.js";
import { language, size } from "./collection/facts.js";
import { table } from "./collection/table.js";

export const title = "Documents";

const PAGE = 50;
const FILTERS = [
  ["all", "All"],
  ["failed", "Failed"],
  ["scans", "Pages without text"],
  ["pending", "Pending"],
  ["notices", "With notices"],
];
const UNKNOWN = "unknown"; // in the address, which has no empty values
const SORTS = [["source", "Name"], ["passages", "Most passages"], ["size", "Largest"], ["ingested", "Newest"]];

export async function show(root, context) {
  const ending = new AbortController();
  const collection = context.collection ?? context.session.default_collection;
  const source = context.state.get("source");
  if (source) await showDocument(root, { ...context, collection, source, signal: ending.signal });
  else await showList(root, { ...context, collection, signal: ending.signal });
  return { close: () => ending.abort() };
}

async function showList(root, context) {
  const { collection, session, signal } = context;
  const figures = h("p", { class: "documents-figures" });
  const list = h("div", { class: "documents-list" });
  const found = h("p", { class: "hint", role: "status" });
  const filters = h("div", { class: "documents-filters", role: "group", "aria-label": "Show" });
  const search = h("input", {
    type: "search", id: "documents-search", autocomplete: "off", spellcheck: "false", value: context.state.get("search") ?? "",
    placeholder: "Name or title",
  });
  const sort = h("select", { id: "documents-sort" },
    SORTS.map(([value, label]) => h("option", { value, selected: value === context.state.get("sort") }, label)));
  const languages = h("select", { id: "documents-language" });
  const ofLanguage = h("label", { class: "field", for: "documents-language", hidden: true }, h("span", {}, "Language"), languages);
  const asked = {
    search: search.value,
    language: /^[a-z]{2,3}$|^unknown$/.exec(context.state.get("language"))?.[0] ?? null,
    state: FILTERS.some(([name]) => name === context.state.get("state")) ? context.state.get("state") : "all",
    sort: sort.value,
    offset: Math.max(0, Number.parseInt(context.state.get("offset") ?? "0", 10) || 0),
  };
  let turn = 0;

  async function load() {
    const mine = ++turn;
    state.write({
      collection, search: asked.search, state: asked.state === "all" ? null : asked.state,
      language: asked.language, sort: asked.sort === "source" ? null : asked.sort, offset: asked.offset || null,
    });
    const { language: chosen, ...query } = { ...asked, collection, limit: PAGE };
    if (chosen) query.language = chosen === UNKNOWN ? "" : chosen;
    list.setAttribute("aria-busy", "true");
    try {
      const reply = await api.get(`/page/documents?${new URLSearchParams(query)}`, { signal });
      if (mine === turn) fill(reply);
    } catch (error) {
      if (mine !== turn || api.isAborted(error)) return;
      if (!(error instanceof api.ApiError)) throw error;
      replace(list, nothing(error, context));
      replace(found);
    } finally {
      list.removeAttribute("aria-busy");
    }
  }

  function fill(reply) {
    replace(figures, figuresOf(reply));
    fillFilters(reply.counts);
    fillLanguages(reply.languages);
    const last = Math.min(asked.offset + PAGE, reply.total);
    replace(found, reply.total > PAGE
      ? `Documents ${(asked.offset + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${reply.total.toLocaleString("en")}`
      : count(reply.total, "document"));
    replace(list,
      reply.documents.length > 0 ? table(reply.documents, collection) : h("p", { class: "empty" }, emptyWords(reply)),
      reply.total > PAGE && pager(reply.total));
    if (reply.ingesting) add.follow(collection);
  }

  function fillFilters(counts) {
    const focused = filters.contains(document.activeElement) ? document.activeElement.dataset.state : null;
    replace(filters, FILTERS.map(([name, label]) =>
      (name === "all" || name === asked.state || counts[name] > 0) &&
      h("button", {
        type: "button", class: "chip documents-filter", "aria-pressed": String(name === asked.state), "data-state": name,
        onclick: () => { asked.state = name; asked.offset = 0; load(); },
      }, `${label} `, h("span", { class: "documents-count" }, counts[name].toLocaleString("en")))));
    if (focused) filters.querySelector(`[data-state="${focused}"]`)?.focus();
  }

  function fillLanguages(numbers) {
    const held = new Map(Object.entries(numbers).map(([code, number]) => [code || UNKNOWN, number]));
    if (asked.language && !held.has(asked.language)) held.set(asked.language, 0);
    const options = [...held].map(([code, number]) => ({ code, number, name: code === UNKNOWN ? "Not known" : language(code) }));
    options.sort((one, other) => (one.code === UNKNOWN) - (other.code === UNKNOWN) || other.number - one.number || one.name.localeCompare(other.name));
    if (asked.language || options.length > 1) ofLanguage.hidden = false;
    replace(languages,
      h("option", { value: "" }, "All"),
      options.map(({ code, name, number }) =>
        h("option", { value: code, selected: code === asked.language }, `${name} (${number.toLocaleString("en")})`)));
  }

  function pager(total) {
    const go = (by) => async () => { asked.offset = Math.max(0, asked.offset + by); await load(); found.scrollIntoView({ block: "nearest" }); };
    return h("nav", { class: "row documents-pager", "aria-label": "Pages of the list" },
      h("button", { type: "button", class: "button-plain", disabled: asked.offset === 0, onclick: go(-PAGE) }, "Previous"),
      h("button", { type: "button", class: "button-plain", disabled: asked.offset + PAGE >= total, onclick: go(PAGE) }, "Next"));
  }

  const add = adding({ ...context, changed: async () => { await context.refresh(); await load(); } });
  const copies = duplicates(collection, signal);
  search.addEventListener("input", debounced(150, () => { asked.search = search.value; asked.offset = 0; load(); }));
  languages.addEventListener("change", () => { asked.language = languages.value || null; asked.offset = 0; load(); });
  sort.addEventListener("change", () => { asked.sort = sort.value; asked.offset = 0; load(); });
  replace(root,
    h("div", { class: "documents-head" },
      h("div", {}, h("h1", {}, "Documents"), figures),
      h("div", { class: "row" }, session.may_ingest && add.button, context.collection && copies.button)),
    add.panel, copies.panel,
    h("section", { "aria-label": "List of documents" },
      h("div", { class: "documents-tools" },
        h("label", { class: "field documents-search", for: "documents-search" }, h("span", {}, "Search"), search),
        ofLanguage,
        h("label", { class: "field", for: "documents-sort" }, h("span", {}, "Order"), sort),
        filters),
      found, list));
  await load();
}

function figuresOf(reply) {
  const parts = [
    count(reply.documents_in_all, "document"), count(reply.passages, "passage"), size(reply.size),
    reply.embedder && `embedded with ${reply.embedder}${reply.precision ? `, ${reply.precision}` : ""}`,
  ];
  return parts.filter(Boolean).join(" · ");
}

function emptyWords(reply) {
  return reply.documents_in_all > 0 ? "No document matches." : "This collection has no documents.";
}

function nothing(error, { session, collection }) {
  if (error.status !== 404) return h("p", { class: "notice notice-bad", role: "alert" }, error.message);
  return h("div", { class: "empty" },
    h("p", {}, `There is no collection “${collection}” here yet.`),
    session.may_ingest
      ? h("p", {}, "Drop files anywhere on this page to make it.")
      : h("p", {}, "Fill one with ", h("code", {}, `sift-rag ingest FOLDER -c ${collection}`),
          ", or start the server with ", h("code", {}, "--allow-ingest"), " to add documents here."));
}


