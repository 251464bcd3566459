// Compare: passages in the context, or the model fine-tuned on them? A small comparison on texts of one's own.

import * as api from "../lib/api.js";
import { count, h, replace } from "../lib/dom.js";

export const title = "Compare";

const ARMS = { base: "Model alone", context: "In the context", finetune: "Fine-tuned", both: "Both" };
const PICKED = { nearest: "nearest neighbours", sift: "SIFT" };
const ENDS = { done: "Done", cancelled: "Cancelled", "out of time": "Out of time", failed: "Failed" };

export async function show(root, context) {
  const view = new CompareView(root, context);
  await view.begin();
  return { close: () => view.abort.abort() };
}

class CompareView {
  constructor(root, { collection }) {
    this.collection = collection;
    this.abort = new AbortController();
    this.form = h("div", {});
    this.result = h("div", {});
    this.problem = h("div", { role: "alert" });
    this.told = h("p", { class: "visually-hidden", role: "status" });
    this.running = this.panel();
    replace(
      root,
      h("h1", {}, "Context or fine-tuning"),
      h("p", { class: "compare-lead" }, "Passages can help a model in two ways: it reads them before it answers, or it is fine-tuned on them for a moment. Which is better for your documents and your model? Give texts of the kind that the model should write, which are not in the collection. The model predicts each of them alone, with passages in its context, and fine-tuned on passages. The fewer bits it needs for a text, the better it knows it."),
      this.told, this.problem, this.form, this.running, this.result,
    );
  }

  async begin() {
    const now = await api.get("/page/comparisons/current", { signal: this.abort.signal });
    this.limits = now.limits;
    if (!now.possible) {
      replace(this.form, impossible(now.model, this.collection));
      return;
    }
    if (this.collection === null) {
      replace(this.form, h("p", { class: "empty" }, "There is no collection yet. Add documents first."));
      return;
    }
    this.fillForm(now);
    this.draw(now);
    if (now.state === "running") this.watch();
  }

  fillForm(now) {
    const { texts, characters, k, minutes } = now.limits;
    this.fields = h("div", { class: "compare-texts" });
    this.add = h("button", { type: "button", class: "button-plain", onclick: () => this.addText() }, "Another text");
    this.k = h("input", { type: "range", id: "compare-k", min: 1, max: k, value: 5, oninput: () => replace(this.kShown, this.k.value) });
    this.kShown = h("output", { for: "compare-k", "aria-live": "off" }, "5");
    this.file = h("input", { type: "file", id: "compare-file", accept: "text/*,.md,.txt,.py,.rst", multiple: true, class: "visually-hidden", onchange: () => this.read() });
    this.start = h("button", { type: "submit", class: "button" }, "Compare");
    const submit = (event) => {
      event.preventDefault();
      this.begun();
    };
    replace(this.form, h("form", { class: "card compare-form", onsubmit: submit },
      this.fields,
      h("div", { class: "row" }, this.add, this.file, h("label", { class: "button-plain compare-choose", for: "compare-file" }, "Choose files")),
      h("div", { class: "row compare-go" },
        h("label", { class: "field", for: "compare-k" }, h("span", {}, "Passages, and steps of fine-tuning ", this.kShown), this.k),
        this.start),
      h("p", { class: "hint" }, `Up to ${texts} texts of ${characters.toLocaleString("en")} characters, with the model ${now.model}. Without a GPU, a short text takes about a minute with the smallest models, and long texts or larger models many times that. It ends after ${minutes} minutes with what is measured by then; questions wait meanwhile. The model is the same afterwards, bit for bit.`)));
    this.addText();
  }

  addText(name = "", text = "") {
    const number = this.fields.children.length + 1;
    if (number > this.limits.texts) return;
    this.fields.append(h("label", { class: "field" }, h("span", {}, name || `Text ${number}`), h("textarea", { rows: 5, maxlength: this.limits.characters, value: text, "data-name": name || `Text ${number}` })));
    this.add.disabled = number >= this.limits.texts;
  }

  async read() {
    const files = [...this.file.files];
    this.file.value = "";
    const problems = [];
    for (const file of files) {
      if (file.size > 4 * this.limits.characters) problems.push(`${file.name} is too long: at most ${this.limits.characters.toLocaleString("en")} characters.`);
      else {
        const text = await file.text();
        if (text.length > this.limits.characters) problems.push(`${file.name} has ${text.length.toLocaleString("en")} characters: at most ${this.limits.characters.toLocaleString("en")}.`);
        else this.put(file.name, text);
      }
    }
    this.say(problems.join(" "));
  }

  put(name, text) {
    const empty = [...this.fields.querySelectorAll("textarea")].find((one) => !one.value.trim());
    if (!empty) return this.addText(name, text);
    empty.value = text;
    empty.dataset.name = name;
    replace(empty.parentNode.firstChild, name);
  }

  async begun() {
    const texts = [...this.fields.querySelectorAll("textarea")].filter((one) => one.value.trim()).map((one) => ({ name: one.dataset.name, text: one.value }));
    if (!texts.length) return this.say("Give at least one text.");
    this.say("");
    this.start.disabled = true;
    try {
      this.draw(await api.change("/page/comparisons", { texts, k: Number(this.k.value), collection: this.collection }));
      this.watch();
    } catch (error) {
      this.start.disabled = false;
      if (!api.isAborted(error)) this.say(error.message);
    }
  }

  async watch() {
    const onEvent = (name, data) => (name === "state" ? this.draw(data) : this.say(data.message));
    try {
      await api.events("/page/comparisons/events", {}, { signal: this.abort.signal, onEvent });
    } catch (error) {
      if (!api.isAborted(error)) this.say(error.message);
    }
  }

  say(message) {
    replace(this.problem, message ? h("p", { class: "notice notice-bad" }, message) : null);
  }

  draw(now) {
    this.start.disabled = now.state === "running";
    this.progress(now);
    this.tell(now);
    replace(this.result, now.result ? this.report(now) : null);
  }

  /** Say what has begun or ended to those who do not see it; not each step. */
  tell(now) {
    const ended = [ENDS[now.state], now.error, now.result?.verdict].filter(Boolean).join(". ");
    const words = now.state === "none" ? "" : now.state === "running" ? doing({ ...now, now: now.now && { ...now.now, step: 0 } }) : ended;
    if (this.told.textContent !== words) replace(this.told, words);
  }

  /** The parts of the progress stay while it goes on: nobody loses the focus, or the place in the table. */
  panel() {
    this.heading = h("h2", {});
    this.doing = h("span", { class: "hint" });
    this.cancelling = h("button", { type: "button", class: "button-plain", onclick: () => this.cancel() }, "Cancel");
    this.bar = h("span", { class: "bar", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, h("span", {}));
    this.failure = h("p", { class: "notice notice-bad" });
    this.measured = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Bits by text" });
    this.unit = h("p", { class: "hint" }, "Bits per byte, in per cent of what the model needs alone. Lower is better.");
    return h("section", { class: "card compare-progress", "aria-label": "Comparison", hidden: true },
      h("div", { class: "row compare-head" }, this.heading, this.doing, this.cancelling),
      this.bar, this.failure, this.measured, this.unit);
  }

  progress(now) {
    const isRunning = now.state === "running";
    this.running.hidden = now.state === "none";
    if (this.running.hidden) return;
    replace(this.heading, isRunning ? "Comparing" : ENDS[now.state]);
    replace(this.doing, isRunning ? `${doing(now)}${left(now, this.limits)}` : `${count(now.texts.length, "text")}, collection ${now.collection}, k = ${now.k}`);
    if (!isRunning && document.activeElement === this.cancelling) this.start.focus();
    this.cancelling.hidden = this.bar.hidden = !isRunning;
    const percent = Math.round(100 * now.done);
    this.bar.setAttribute("aria-valuenow", percent);
    this.bar.style.setProperty("--share", `${percent}%`);
    this.failure.hidden = !now.error;
    replace(this.failure, now.error);
    this.measured.hidden = this.unit.hidden = Boolean(now.result) && now.texts.length === 1; // of one text, the result says it all
    replace(this.measured, measuredTable(now));
  }

  async cancel() {
    try {
      this.draw(await api.change("/page/comparisons/cancel", {}));
    } catch (error) {
      this.say(error.message);
    }
  }

  report(now) {
    const { result } = now;
    const row = (one) => h("tr", { class: one.recommended ? "compare-best" : null },
      h("th", { scope: "row" }, way([one.arm, one.selector]), one.recommended ? h("span", { class: "chip chip-accent" }, "recommended") : null),
      number(one.percent_of_base.toFixed(1)),
      number(one.k && one.tasks > 1 ? `${signed(one.difference_low)} to ${signed(one.difference_high)}` : ""),
      number(one.seconds_per_task.toFixed(1)),
      number(Math.round(one.tokens_per_task).toLocaleString("en")));
    const head = ["Way", "% of the bits alone", "95 % interval", "Seconds a text", "Tokens a text"];
    const rows = result.rows.filter((one) => one.group === "all");
    return h("section", { class: "card", "aria-label": "Result" },
      h("h2", {}, "Result"),
      h("p", { class: "compare-verdict" }, result.verdict),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All ways" }, h("table", { class: "data" },
        h("thead", {}, h("tr", {}, head.map((name, place) => h("th", { scope: "col", class: place > 0 ? "number" : null }, name)))),
        h("tbody", {}, rows.map(row)))),
      h("p", { class: "hint" }, "Interval: of the difference from 100."),
      result.left_out ? h("p", { class: "hint" }, `${count(result.left_out, "passage")} left out: the text itself or a part of it.`) : null,
      h("p", { class: "hint" }, `${result.facts.model} on ${result.facts.device}; alone it needs ${result.base_bits_per_byte.toFixed(3)} bits per byte. ${result.facts.fine_tuning}. ${result.facts.date}.`),
      h("p", { class: "hint" }, "A larger one, at the command line: ", h("code", {}, now.command)),
      result.report ? h("button", { type: "button", class: "button-plain", onclick: () => this.save() }, "Save the report") : null);
  }

  async save() {
    try {
      const key = sessionStorage.getItem("sift-rag-key");
      const response = await fetch("page/comparisons/report", { headers: key ? { Authorization: `Bearer ${key}` } : {} });
      if (!response.ok) throw new Error("The report cannot be read.");
      const address = URL.createObjectURL(await response.blob());
      h("a", { href: address, download: "comparison.html" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    } catch (error) {
      this.say(error.message);
    }
  }
}

function impossible(model, collection) {
  const name = model ?? "smollm2-135m-instruct";
  const sentence = model === null
    ? "This needs a language model in the server's process. Start the server with one, for example:"
    : `${model} runs elsewhere, so it cannot be fine-tuned here. Start the server with a model in its own process, for example:`;
  return h("div", { class: "card stack" },
    h("p", {}, sentence),
    h("pre", {}, h("code", {}, "sift-rag serve --model smollm2-135m-instruct")),
    h("p", {}, "Or compare at the command line, on a folder of texts:"),
    h("pre", {}, h("code", {}, `sift-rag compare --texts held-out/ --model ${model === null ? name : "smollm2-135m-instruct"}${collection ? ` -c ${collection}` : ""}`)));
}

function measuredTable(now) {
  const columns = [["base", ""], ...["nearest", "sift"].flatMap((selector) => ["context", "finetune", "both"].map((arm) => [arm, selector]))];
  const cell = (text, [arm, selector]) => {
    const found = text.measured.find((one) => one.arm === arm && one.selector === selector);
    return number(found ? found.percent.toFixed(1) : "");
  };
  return h("table", { class: "data compare-measured" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Text"), columns.map((one) => h("th", { scope: "col", class: "number" }, way(one))))),
    h("tbody", {}, now.texts.map((text) => h("tr", {}, h("th", { scope: "row" }, text.name), columns.map((one) => cell(text, one))))));
}

function way([arm, selector]) {
  return `${ARMS[arm]}${selector ? `, ${PICKED[selector]}` : ""}`;
}

function doing({ now, texts, k }) {
  if (!now) return "The model is being prepared.";
  const by = now.selector ? `, passages by ${PICKED[now.selector]}` : "";
  const text = texts[now.text].name;
  return now.step ? `${text}: step ${now.step} of ${k} of fine-tuning${by}` : `${text}: ${ARMS[now.arm].toLowerCase()}${by}`;
}

/** The time that remains, from that of the steps done; nothing until there are a few. */
function left({ done, seconds }, { minutes }) {
  if (done < 0.15 || !seconds) return "";
  const rest = (seconds * (1 - done)) / done;
  const most = 60 * minutes - seconds;
  if (rest > most) return ` · ends in ${about(most)}, with what is measured by then`;
  return ` · about ${about(rest)} left`;
}

function about(seconds) {
  return seconds < 90 ? `${Math.max(10, 10 * Math.round(seconds / 10))} seconds` : count(Math.round(seconds / 60), "minute");
}

function number(text) {
  return h("td", { class: "number" }, text);
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
}
