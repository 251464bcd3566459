// A passage in its document: a dialog with what stands around it.

import * as api from "../../lib/api.js";
import { h, replace } from "../../lib/dom.js";
import { place } from "./results.js";
import { readable, withoutHeadings } from "./text.js";

const LONGEST = 20_000; // characters of a passage that are shown

export async function openDocument(collection, passage) {
  const content = h("div", { class: "document-text", "aria-busy": "true" }, h("p", { class: "hint" }, "Reading …"));
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "document-title" },
    h("div", { class: "document-head" },
      h("div", {},
        h("h2", { id: "document-title" }, passage.title || passage.source),
        h("p", { class: "hint" }, place(passage))),
      h("button", { type: "button", class: "button-plain", onclick: () => dialog.close() }, "Close")),
    content,
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  const query = new URLSearchParams({ collection, source: passage.source, around: passage.id });
  try {
    const found = await api.get(`/page/documents/passages?${query}`);
    replace(
      content,
      found.before > 0 && h("p", { class: "hint" }, `${found.before} passages before`),
      found.passages.map((one) => part(one, one.id === passage.id, passage)),
      found.after > 0 && h("p", { class: "hint" }, `${found.after} passages after`),
    );
    content.querySelector(".is-here")?.scrollIntoView({ block: "center" });
  } catch (error) {
    replace(content, part(passage, true, passage), h("p", { class: "hint" }, `What stands around it cannot be shown: ${error.message}`));
  }
  content.removeAttribute("aria-busy");
}

function part(passage, here, { title, source }) {
  const where = passage.page ? `page ${passage.page}` : passage.line ? `line ${passage.line}` : "";
  return h(
    "section",
    { class: here ? "document-part is-here" : "document-part", "aria-current": here ? "true" : null },
    where && h("p", { class: "document-place" }, where),
    h("div", { class: "ask-text" }, readable(withoutHeadings(passage.text.slice(0, LONGEST), title ? [title] : []), source, []), passage.text.length > LONGEST && " …"),
  );
}
