// The question and the controls of the Ask view, and what they say as a request and as an address.

import { h, replace } from "../../lib/dom.js";

const LARGEST_K = 20;

/**
 * The options in an address: `values` are the address's, `body` is that of /v1/search. `usual` are the defaults of the
 * session; the middle of the slider is that of `noise_variance`.
 */
export function optionsOf(address, usual) {
  const number = (name, otherwise, low, high) => {
    const value = Number.parseFloat(address.get(name) ?? "");
    return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
  };
  return made({
    questions: address.getAll("q"),
    k: Math.round(number("k", usual.k, 1, LARGEST_K)),
    words: number("words", usual.words, 0, 0.9),
    spread: number("spread", 0, -10, 10),
    where: address.getAll("filter"),
    known: address.getAll("known"),
  }, usual);
}

function made({ questions, k, words, spread, where, known }, usual) {
  const asked = questions.map((text) => text.trim()).filter(Boolean);
  const settings = {};
  if (words !== usual.words) settings.words = words;
  if (spread) settings.noise_variance = usual.noise_variance * 10 ** (-spread / 10);
  const changed = (value, otherwise) => (value === otherwise ? null : value);
  return {
    questions: asked,
    values: {
      q: asked,
      k: changed(k, usual.k),
      words: changed(words, usual.words),
      spread: changed(spread, 0),
      filter: where,
      known,
    },
    body: { query: asked, k, where: where.length ? where : null, known, settings },
    raw: { questions, k, words, spread, where, known },
    usual,
  };
}

/** The form. `changed(options)` is called while something moves, `now(options)` when it is asked. */
export function controls(options, { changed, now }) {
  const { usual } = options;
  const raw = { ...options.raw, where: [...options.raw.where], known: [...options.raw.known] };
  const box = h("textarea", {
    id: "question", rows: 1, class: "ask-question", spellcheck: "true",
    value: raw.questions.join("\n"), placeholder: "What do you want to know?", "aria-describedby": "question-hint",
  });
  const k = h("input", { id: "k", type: "range", min: 1, max: LARGEST_K, step: 1, value: raw.k });
  const kShown = h("output", { for: "k", class: "number", "aria-live": "off" }, raw.k);
  const spread = h("input", { id: "spread", type: "range", min: -10, max: 10, step: 1, value: raw.spread,
    "aria-valuetext": spreadText(raw.spread) });
  const words = h("input", { id: "words", type: "checkbox", checked: raw.words > 0 });
  const filter = h("input", { id: "filter", type: "text", placeholder: "source=guide/* or year>=2024", autocomplete: "off" });
  const chips = h("div", { class: "row ask-chips", "aria-label": "Filters and known passages", role: "group" });

  const read = () => {
    raw.questions = box.value.split("\n");
    raw.k = Number(k.value);
    raw.spread = Number(spread.value);
    if (words.checked !== raw.words > 0) raw.words = words.checked ? usual.words : 0;
    kShown.value = raw.k;
    spread.setAttribute("aria-valuetext", spreadText(raw.spread));
    return made(raw, usual);
  };
  const fit = () => {
    box.style.setProperty("height", "auto");
    if (box.scrollHeight) box.style.setProperty("height", `${Math.min(200, box.scrollHeight + 2)}px`);
  };
  const drawChips = () => {
    const remove = (list, value) => () => {
      list.splice(list.indexOf(value), 1);
      drawChips();
      now(read());
      filter.focus();
    };
    replace(
      chips,
      raw.where.map((text) => chip(text, `Remove the filter ${text}`, remove(raw.where, text))),
      raw.known.length > 0 &&
        chip(`${raw.known.length} known ${raw.known.length === 1 ? "passage" : "passages"}`, "Forget what is known", () => {
          raw.known.length = 0;
          drawChips();
          now(read());
        }),
    );
    chips.hidden = !chips.childElementCount;
  };
  const addFilter = () => {
    const text = filter.value.trim();
    if (!text) return false;
    if (!raw.where.includes(text)) raw.where.push(text);
    filter.value = "";
    drawChips();
    return true;
  };

  box.addEventListener("input", fit);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    now(read());
  });
  for (const slider of [k, spread, words]) slider.addEventListener("input", () => changed(read()));
  filter.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (addFilter()) now(read());
  });
  drawChips();

  const element = h(
    "form",
    {
      class: "ask-form", "aria-label": "Question and how to choose",
      onsubmit: (event) => {
        event.preventDefault();
        addFilter();
        now(read());
      },
    },
    h("div", { class: "ask-line" },
      h("label", { class: "visually-hidden", for: "question" }, "Question"),
      box,
      h("button", { type: "submit", class: "button" }, "Ask"),
    ),
    h("div", { class: "ask-under" },
      h("span", { class: "hint", id: "question-hint" }, "Several questions to answer together: one on each line."),
      h("button", { type: "button", class: "button-quiet", onclick: () => {
        box.value = `${box.value.replace(/\s+$/, "")}\n`;
        fit();
        box.focus();
      } }, "Add a question"),
    ),
    h("div", { class: "ask-controls" },
      h("label", { class: "ask-control", for: "k" }, h("span", {}, "Passages ", kShown), k),
      h("div", { class: "ask-control ask-spread" },
        h("label", { for: "spread" }, "Choice"),
        h("div", { class: "ask-ends" },
          h("span", { "aria-hidden": "true" }, "closer to the question"), spread,
          h("span", { "aria-hidden": "true" }, "less repetition")),
      ),
      h("label", { class: "ask-check" }, words, "Count words, not only meaning"),
      h("div", { class: "ask-control ask-filter" },
        h("label", { for: "filter" }, "Filter"),
        h("div", { class: "row" }, filter,
          h("button", { type: "button", class: "button-plain", onclick: () => addFilter() && now(read()) }, "Add")),
      ),
    ),
    chips,
  );
  return {
    element,
    focus: () => box.focus(),
    fit,
    know(id) {
      const place = raw.known.indexOf(id);
      if (place < 0) raw.known.push(id);
      else raw.known.splice(place, 1);
      drawChips();
      now(read());
    },
  };
}

function chip(text, label, remove) {
  return h("span", { class: "chip" }, text,
    h("button", { type: "button", class: "chip-remove", "aria-label": label, onclick: remove }, "×"));
}

function spreadText(value) {
  if (value === 0) return "the usual balance";
  const degree = Math.abs(value) > 6 ? "much " : Math.abs(value) > 3 ? "" : "a little ";
  return value > 0 ? `${degree}less repetition` : `${degree}closer to the question`;
}
