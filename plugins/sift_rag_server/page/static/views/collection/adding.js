// Documents are added: dropped or chosen, uploaded one by one, then ingested together while progress is shown.

import * as api from "../../lib/api.js";
import { count, h, replace } from "../../lib/dom.js";
import * as state from "../../lib/state.js";
import { sentence, size } from "./facts.js";

const RESULTS = {
  new: ["chip chip-good", "Added"],
  updated: ["chip chip-good", "Updated"],
  unchanged: ["chip", "Unchanged"],
  skipped: ["chip chip-warn", "Skipped"],
  failed: ["chip chip-bad", "Failed"],
  kept: ["chip chip-warn", "Not replaced"],
};

export function adding(context) {
  const { session, signal, changed } = context;
  const limit = session.upload_bytes ?? 64 * 2 ** 20;
  const name = h("input", {
    type: "text", id: "adding-collection", value: context.collection, required: true, autocomplete: "off", spellcheck: "false",
    pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]{0,127}",
  });
  const files = h("input", { type: "file", multiple: true, id: "adding-files", class: "visually-hidden" });
  const zone = h("div", { class: "adding-zone" },
    h("p", {}, "Drop files or folders here, or ", h("label", { for: "adding-files", class: "adding-choose" }, "choose files", files), "."),
    h("p", { class: "hint" }, `PDF, Word, Markdown, HTML, mail, tables, code and other text, up to ${size(limit)} each. `,
      "The server keeps the files."));
  const told = h("div", { class: "adding-told", role: "status" });
  const results = h("div", {});
  const panel = h("section", { class: "card documents-panel", "aria-label": "Add documents", hidden: true },
    h("label", { class: "field adding-name", for: "adding-collection" }, h("span", {}, "Into the collection"), name),
    zone, told, results);
  const button = h("button", { type: "button", class: "button", "aria-expanded": "false" }, "Add documents");
  let busy = false;

  function open(shown) {
    panel.hidden = !shown;
    button.setAttribute("aria-expanded", String(shown));
  }

  async function add(chosen, replacing = false) {
    open(true);
    if (busy) return say("Wait until these documents are in.");
    if (!name.reportValidity()) return;
    if (chosen.length === 0) return say("There are no files in it.");
    busy = true;
    const collection = name.value;
    const ready = [];
    const refused = [];
    replace(results);
    try {
      for (const [index, { path, file }] of chosen.entries()) {
        say(`Uploading ${index + 1} of ${chosen.length}: ${path}`, index / chosen.length);
        try {
          if (file.size > limit) throw new api.ApiError(413, `It is larger than ${size(limit)}.`);
          const query = new URLSearchParams({ collection, name: path, replace: String(replacing) });
          ready.push((await api.change(`/page/uploads?${query}`, file, { signal })).name);
        } catch (error) {
          if (!(error instanceof api.ApiError) || error.status === 0 || error.status === 401) throw error;
          refused.push({ path, file, error });
        }
      }
      if (ready.length > 0) {
        await api.change("/page/ingest", { collection, names: ready }, { signal });
        await listen(collection, refused);
      } else {
        say("");
        replace(results, outcome([], refused));
      }
    } catch (error) {
      fail(error);
    } finally {
      busy = false;
    }
  }

  async function listen(collection, refused = []) {
    let ended = null;
    say("Reading …");
    await api.events("/page/ingest/events", { collection }, {
      signal,
      onEvent(event, data) {
        if (event === "progress") progress(data);
        if (event === "done") ended = data;
        if (event === "error") throw new api.ApiError(500, data.message);
      },
    });
    if (ended === null) throw new api.ApiError(0, "The server ended before the documents were in. Add them again.");
    say(`${count(ended.passages_added, "passage")} added in ${ended.seconds.toLocaleString("en")} s.`);
    replace(results, outcome(ended.files, refused, collection), ended.notices.map((notice) => h("p", { class: "hint" }, sentence(notice))));
    await changed();
  }

  function progress(data) {
    if (data.phase === "loading") return say("Loading the embedding model …");
    const share = data.bytes_found > 0 ? data.bytes_done / data.bytes_found : 0;
    say(`Reading and embedding: ${count(data.passages_done, "passage")}, ${data.files_done} of ${count(data.files_found, "file")}`, share);
  }

  function say(text, share = null) {
    const bar = share !== null && h("span", { class: "bar", "aria-hidden": "true" }, h("span", {}));
    replace(told, text && h("p", {}, text), bar);
    if (bar) bar.firstChild.style.setProperty("--share", `${Math.round(100 * share)}%`);
  }

  function fail(error) {
    if (api.isAborted(error)) return;
    say("");
    replace(results, h("p", { class: "notice notice-bad", role: "alert" }, error.message));
    if (!(error instanceof api.ApiError)) throw error;
  }

  function outcome(done, refused, collection) {
    const taken = refused.filter((one) => one.error.status === 409);
    return [
      h("ul", { class: "adding-results" },
        done.map((one) => resultItem(one, collection)),
        refused.map(({ path, error }) => line(["chip chip-bad", "Refused"], path, error.message))),
      taken.length > 0 && h("button", { type: "button", class: "button-plain", onclick: () => add(taken, true) },
        `Replace ${count(taken.length, "file")} of the same name`),
    ];
  }

  button.addEventListener("click", () => open(panel.hidden));
  files.addEventListener("change", () => {
    add([...files.files].map((file) => ({ path: file.name, file })));
    files.value = "";
  });
  if (session.may_ingest) dropping(zone, signal, async (transfer) => add(await filesOf(transfer)));

  return {
    button,
    panel,
    /** Show the progress of an ingest that is running already, begun in another tab perhaps. */
    async follow(collection) {
      if (busy) return;
      busy = true;
      open(true);
      try {
        await listen(collection);
      } catch (error) {
        fail(error);
      } finally {
        busy = false;
      }
    },
  };
}

function resultItem(one, collection) {
  const there = one.passages > 0 || one.result === "failed";
  const named = there ? h("a", { href: state.hash("documents", { collection, source: one.source }) }, one.source) : one.source;
  const kept = one.result === "kept" && "The document stays as it was";
  const words = [kept, one.passages > 0 && count(one.passages, "passage"), sentence(one.reason), ...one.notices.map(sentence)];
  return line(RESULTS[one.result] ?? ["chip", one.result], named, words.filter(Boolean).join(" · "));
}

function line([kind, word], named, text) {
  return h("li", {}, h("span", { class: kind }, word), h("span", {}, named), h("span", { class: "hint" }, text));
}

/** Take what is dropped anywhere on the page until the signal ends. */
function dropping(zone, signal, take) {
  const holds = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const mark = (shown) => zone.classList.toggle("is-over", shown);
  document.addEventListener("dragover", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    mark(true);
  }, { signal });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && mark(false), { signal });
  document.addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    mark(false);
    take(event.dataTransfer);
  }, { signal });
}

/** The files of a drop with their paths, those in folders too; hidden ones are left out. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return [...transfer.files].map((file) => ({ path: file.name, file }));
  const found = [];
  for (const entry of entries) await collect(entry, "", found);
  return found;
}

async function collect(entry, above, found) {
  if (entry.name.startsWith(".")) return;
  const path = above + entry.name;
  if (entry.isFile) {
    found.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return; // it is read until nothing comes: a call gives 100 at most
    for (const one of part) await collect(one, `${path}/`, found);
  }
}
