// Passages that say the same, looked for on a click.

import * as api from "../../lib/api.js";
import { count, h, replace } from "../../lib/dom.js";
import * as state from "../../lib/state.js";
import { place } from "./facts.js";

const SHOWN = 10;
const COMPARING = "Comparing all passages …";

export function duplicates(collection, signal) {
  const section = h("section", { class: "card documents-panel", "aria-label": "Duplicates", hidden: true });
  const told = h("p", { class: "visually-hidden", role: "status" }); // always there: what appears with its text may go unread
  const button = h("button", { type: "button", class: "button-plain" }, "Find duplicates");
  button.addEventListener("click", async () => {
    button.disabled = true;
    section.hidden = false;
    replace(section, h("p", {}, COMPARING));
    replace(told, COMPARING);
    try {
      const found = await api.get(`/page/duplicates?${new URLSearchParams({ collection })}`, { signal });
      replace(section, result(found, collection, close));
      replace(told, heading(found));
    } catch (error) {
      if (api.isAborted(error)) return;
      replace(section, h("p", { class: "notice notice-bad" }, error.message), closing(close));
      replace(told, error.message);
    } finally {
      button.disabled = false;
    }
  });
  function close() {
    section.hidden = true;
    replace(told);
    button.focus();
  }
  return { button, panel: [told, section] };
}

function heading(found) {
  return found.repeated === 0
    ? `No passage repeats another: all ${count(found.passages, "passage")} differ.`
    : `${count(found.groups_in_all, "passage")} in ${count(found.repeated + found.groups_in_all, "place")}`;
}

function closing(close) {
  return h("button", { type: "button", class: "button-quiet", onclick: close }, "Close");
}

function result(found, collection, close) {
  if (found.repeated === 0) {
    return [h("p", {}, heading(found)), closing(close)];
  }
  const share = (100 * found.share_repeated).toLocaleString("en", { maximumFractionDigits: 1 });
  const list = h("ol", { class: "duplicates" }, found.groups.slice(0, SHOWN).map((one) => group(one, collection)));
  const more = h("button", { type: "button", class: "button-quiet" }, `Show ${found.groups.length - SHOWN} more`);
  more.addEventListener("click", () => {
    list.append(...found.groups.slice(SHOWN).map((one) => group(one, collection)));
    list.children[SHOWN].querySelector("a").focus();
    more.remove();
  });
  return [
    h("div", { class: "documents-head" },
      h("h2", {}, heading(found)), closing(close)),
    h("p", {}, `${count(found.repeated, "passage")} of ${found.passages.toLocaleString("en")} (${share} %) only `,
      `${found.repeated === 1 ? "repeats" : "repeat"} another. SIFT shows each once; nearest neighbour shows every copy.`),
    list,
    found.groups.length > SHOWN && more,
    found.groups_in_all > found.groups.length &&
      h("p", { class: "hint" }, `The ${found.groups.length} largest of ${count(found.groups_in_all, "group")}.`),
  ];
}

function group(one, collection) {
  return h("li", {},
    h("p", { class: "duplicates-text" }, one.headings.length > 0 && h("b", {}, `${one.headings.join(" › ")}: `), one.text),
    h("p", { class: "hint" }, `in ${count(one.size, "place")}: `,
      one.places.map((at, index) => [
        index > 0 && ", ",
        h("a", { href: state.hash("documents", { collection, source: at.source, passage: at.id }) },
          [at.source, place(at)].filter(Boolean).join(", ")),
      ]),
      one.size > one.places.length && ` and ${one.size - one.places.length} more`));
}
