// Passages that say the same, looked for on a click.

import * as api from "../../lib/api.js";
import { count, h, replace } from "../../lib/dom.js";
import * as state from "../../lib/state.js";
import { place } from "./facts.js";

const SHOWN = 10;

export function duplicates(collection, signal) {
  const panel = h("section", { class: "card documents-panel", "aria-label": "Duplicates", hidden: true });
  const button = h("button", { type: "button", class: "button-plain" }, "Find duplicates");
  button.addEventListener("click", async () => {
    button.disabled = true;
    panel.hidden = false;
    replace(panel, h("p", { role: "status" }, "Comparing all passages …"));
    try {
      const found = await api.get(`/page/duplicates?${new URLSearchParams({ collection })}`, { signal });
      replace(panel, result(found, collection, close));
    } catch (error) {
      if (!api.isAborted(error)) replace(panel, h("p", { role: "alert" }, error.message), closing(close));
    } finally {
      button.disabled = false;
    }
  });
  function close() {
    panel.hidden = true;
    button.focus();
  }
  return { button, panel };
}

function closing(close) {
  return h("button", { type: "button", class: "button-quiet", onclick: close }, "Close");
}

function result(found, collection, close) {
  if (found.repeated === 0) {
    return [
      h("p", { role: "status" }, `No passage repeats another: all ${count(found.passages, "passage")} differ.`), closing(close),
    ];
  }
  const places = found.repeated + found.groups_in_all;
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
      h("h2", { role: "status" }, `${count(found.groups_in_all, "passage")} in ${count(places, "place")}`), closing(close)),
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
    h("p", { class: "duplicates-text" }, one.text),
    h("p", { class: "hint" }, `in ${count(one.size, "place")}: `,
      one.places.map((at, index) => [
        index > 0 && ", ",
        h("a", { href: state.hash("documents", { collection, source: at.source, passage: at.id }) },
          [at.source, place(at)].filter(Boolean).join(", ")),
      ]),
      one.size > one.places.length && ` and ${one.size - one.places.length} more`));
}
