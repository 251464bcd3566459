// One document: what is known of it, and its passages in reading order.

import * as api from "../../lib/api.js";
import { count, h, replace } from "../../lib/dom.js";
import * as state from "../../lib/state.js";
import { readable, withoutHeadings } from "../ask/text.js";
import { date, language, place, sentence, size, STATES } from "./facts.js";

const MORE = 30;

export async function showDocument(root, context) {
  const { collection, source, signal } = context;
  const here = context.state.get("passage");
  const read = (query) =>
    api.get(`/page/documents/passages?${new URLSearchParams({ collection, source, ...query })}`, { signal });
  const back = h("a", { href: state.hash("documents", { collection }), class: "documents-back" }, "← All documents");
  let found;
  let note = null;
  try {
    found = await read(here ? { around: here, before: 5, after: MORE } : { before: 0, after: MORE });
  } catch (error) {
    if (api.isAborted(error)) return;
    note = error.message;
    found = here ? await read({ before: 0, after: MORE }).catch(() => null) : null;
  }
  if (found === null) {
    replace(root, back, h("h1", {}, source), h("p", { class: "notice notice-bad", role: "alert" }, note));
    return;
  }
  const list = h("ol", { class: "passages", "aria-label": "Passages" });
  const earlier = h("button", { type: "button", class: "button-plain" });
  const later = h("button", { type: "button", class: "button-plain" });
  const item = (one) => passageItem(one, { collection, source, here, title: found.title });
  let { before, after } = found;

  function fillButtons() {
    earlier.hidden = before === 0;
    later.hidden = after === 0;
    replace(earlier, `Show ${Math.min(MORE, before)} of ${count(before, "earlier passage")}`);
    replace(later, `Show ${Math.min(MORE, after)} of ${count(after, "more passage", "more passages")}`);
  }
  const failed = h("p", { class: "notice notice-bad", role: "alert", hidden: true });
  const extend = (query, put) => async () => {
    try {
      put(await read(query()));
      failed.hidden = true;
      fillButtons();
    } catch (error) {
      if (api.isAborted(error)) return;
      replace(failed, error.message);
      failed.hidden = false;
    }
  };
  earlier.addEventListener("click", extend(
    () => ({ around: list.firstElementChild.dataset.id, before: MORE, after: 0 }),
    (more) => {
      const kept = list.firstElementChild;
      const offset = kept.getBoundingClientRect().top;
      list.prepend(...more.passages.slice(0, -1).map(item));
      before = more.before;
      window.scrollBy(0, kept.getBoundingClientRect().top - offset);
    },
  ));
  later.addEventListener("click", extend(
    () => ({ around: list.lastElementChild.dataset.id, before: 0, after: MORE }),
    (more) => {
      list.append(...more.passages.slice(1).map(item));
      after = more.after;
    },
  ));
  list.append(...found.passages.map(item));
  fillButtons();
  replace(root,
    back,
    head(found, context),
    note && h("p", { class: "notice notice-warn", role: "status" }, note),
    found.document?.state === "failed" && h("p", { class: "notice notice-bad" }, sentence(found.document.reason)),
    (found.document?.notices ?? []).map((notice) => h("p", { class: "notice notice-warn" }, sentence(notice))),
    found.passages.length === 0 && found.document?.state !== "failed" && h("p", { class: "empty" }, "It has no passages."),
    earlier, list, later, failed);
  const marked = list.querySelector(".is-here");
  if (marked) {
    marked.scrollIntoView({ block: "center" });
    marked.focus({ preventScroll: true });
  }
}

function head(found, context) {
  const one = found.document;
  const [kind, word] = one ? (STATES[one.state] ?? ["chip", one.state]) : ["chip", "No record"];
  const facts = one
    ? [one.language && language(one.language), count(one.passages, "passage"), size(one.size), one.ingested_at && `added ${date(one.ingested_at)}`]
    : [];
  return h("div", { class: "documents-head" },
    h("div", {},
      h("h1", {}, found.title || found.source),
      h("p", { class: "documents-figures" }, h("code", {}, found.source)),
      h("p", { class: "documents-figures row" },
        h("span", { class: kind }, word),
        one?.pages_without_text > 0 && h("span", { class: "chip chip-warn" }, `${count(one.pages_without_text, "page")} without text`),
        h("span", {}, facts.filter(Boolean).join(" · ")))),
    context.session.may_ingest && one &&
      h("button", { type: "button", class: "button-plain documents-delete", onclick: () => confirmDeletion(one, context) }, "Delete …"));
}

function passageItem(passage, { collection, source, here, title }) {
  const headings = passage.headings.filter((one) => one !== title);
  const isHere = passage.id === here;
  const link = state.hash("documents", { collection, source, passage: passage.id });
  return h("li", { class: isHere ? "passage is-here" : "passage", "data-id": passage.id, "aria-current": isHere ? "true" : null, tabindex: isHere ? "-1" : null },
    h("p", { class: "passage-place" },
      h("a", { href: link, title: "A link to this passage" }, place(passage) || "passage"),
      headings.length > 0 && h("span", {}, headings.join(" › "))),
    h("div", { class: "passage-text ask-text" }, readable(withoutHeadings(passage.text, [title, ...passage.headings]), source, []),
      passage.cut > 0 && h("span", { class: "chip" }, `… ${count(passage.cut, "more character")}`)));
}

function confirmDeletion(one, { collection, navigate, refresh }) {
  const problem = h("p", { class: "notice notice-bad", role: "alert", hidden: true });
  const sure = h("button", { type: "button", class: "button documents-sure" }, "Delete");
  const dialog = h("dialog", { class: "dialog dialog-small", "aria-labelledby": "delete-title" },
    h("h2", { id: "delete-title" }, "Delete this document?"),
    h("p", {}, h("code", {}, one.source), ` and its ${count(one.passages, "passage")} are removed from the collection “${collection}”.`),
    h("p", { class: "hint" }, one.source.startsWith("uploads/")
      ? "A file that was added on this page is removed from the server too."
      : "The file itself is not touched. An ingest of its folder adds it again."),
    problem,
    h("div", { class: "row row-end" },
      h("button", { type: "button", class: "button-plain", onclick: () => dialog.close() }, "Keep it"), sure));
  sure.addEventListener("click", async () => {
    sure.disabled = true;
    try {
      await api.change("/page/documents/delete", { collection, source: one.source });
      dialog.close();
      await refresh();
      navigate("documents", { collection });
    } catch (error) {
      sure.disabled = false;
      replace(problem, error.message);
      problem.hidden = false;
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
