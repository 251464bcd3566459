// The answer of the language model: streamed, its citations linked to cards, its sentences marked once it is checked.

import * as api from "../../lib/api.js";
import { h, replace } from "../../lib/dom.js";

const VERDICTS = {
  supported: ["supported", "A passage that it cites holds this."],
  uncited: ["uncited", "It cites no passage, but one holds this."],
  unsupported: ["not supported", "No passage that it cites holds this."],
};

export function answerPanel({ session, collection, goTo }) {
  let running = null;
  let offered = null;
  const content = h("div", { class: "answer-text" });
  const notes = h("div", { class: "answer-notes" });
  const status = h("p", { class: "visually-hidden", role: "status" });
  const button = h("button", { type: "button", class: "button", onclick: () => (running ? stop() : write()) }, "Answer the question");
  const element = h(
    "section",
    { class: "answer card", hidden: true, "aria-labelledby": "answer-title" },
    h("div", { class: "answer-head" },
      h("h2", { id: "answer-title" }, "Answer"),
      session.model && h("span", { class: "hint" }, session.model),
      session.model && button),
    session.model
      ? [content, notes, status]
      : h("p", { class: "hint" }, "This server has no language model. Start it with one to read an answer here: ",
          h("code", {}, "sift-rag serve --model Qwen/Qwen3-0.6B"), ", or ", h("code", {}, "--base-url URL --model NAME"), "."),
  );

  function stop() {
    running?.abort();
  }

  async function write() {
    stop();
    const mine = (running = new AbortController());
    let text = "";
    const numbered = new Map(offered.reply.sift.hits.map((hit) => [hit.rank, hit.rank]));
    button.textContent = "Stop";
    button.className = "button-plain";
    replace(notes);
    replace(content, h("p", { class: "hint" }, "The model is reading the passages …"));
    const draw = (sentences) => replace(content, pieces(text, sentences, numbered, goTo));
    try {
      let ended = false;
      await api.events("/v1/ask", { ...offered.body, collection, stream: true }, {
        signal: mine.signal,
        onEvent(name, data) {
          if (name === "text") {
            text += data.text;
            draw(null);
          } else if (name === "done") {
            ended = true;
            text = data.answer;
            draw(data.sentences);
            tell(data);
          } else if (name === "error") {
            throw new api.ApiError(500, data.message ?? data.error?.message ?? "The model could not answer.");
          }
        },
      });
      if (!ended) throw new api.ApiError(0, "The answer broke off: the server closed the connection.");
    } catch (error) {
      if (mine !== running && api.isAborted(error)) return;
      const stopped = api.isAborted(error);
      replace(notes, h("p", { class: stopped ? "hint" : "notice notice-bad", role: "alert" }, stopped ? "Stopped." : error.message));
      if (!text) replace(content);
    } finally {
      if (mine === running) rest();
    }
  }

  function rest() {
    running = null;
    button.textContent = content.childNodes.length ? "Answer again" : "Answer the question";
    button.className = content.childNodes.length ? "button-plain" : "button";
  }

  function tell(data) {
    const checked = data.sentences ?? [];
    const counts = Object.keys(VERDICTS).map((verdict) => [verdict, checked.filter((one) => one.verdict === verdict).length]);
    const told = counts.filter(([, number]) => number).map(([verdict, number]) => `${number} ${VERDICTS[verdict][0]}`);
    replace(
      notes,
      checked.length > 0 && h("p", { class: "answer-legend" }, "Sentences: ",
        counts.filter(([, number]) => number).map(([verdict, number]) =>
          h("span", { class: `verdict verdict-${verdict}`, title: VERDICTS[verdict][1] }, `${number} ${VERDICTS[verdict][0]}`))),
      data.notices.map((notice) => h("p", { class: "hint" }, notice)),
    );
    status.textContent = `The answer is complete. ${told.length ? `Sentences: ${told.join(", ")}.` : ""}`;
  }

  return {
    element,
    offer(body, reply) {
      const same = offered && JSON.stringify(offered.body) === JSON.stringify(body);
      offered = { body, reply };
      element.hidden = false;
      if (same) return;
      stop();
      running = null;
      replace(content);
      replace(notes);
      rest();
    },
    hide() {
      stop();
      element.hidden = true;
    },
    close: stop,
  };
}

/** The text with its sentences marked and its citations as buttons. Offsets count characters, as Python does. */
function pieces(text, sentences, numbered, goTo) {
  const characters = Array.from(text);
  const part = (start, end) => cited(characters.slice(start, end).join(""), numbered, goTo);
  const parts = [];
  let from = 0;
  for (const sentence of sentences ?? []) {
    if (sentence.start < from) continue;
    const [label, about] = VERDICTS[sentence.verdict] ?? [sentence.verdict, ""];
    parts.push(
      part(from, sentence.start),
      h("span", { class: `sentence sentence-${sentence.verdict}`, title: about },
        part(sentence.start, sentence.end), h("span", { class: "visually-hidden" }, ` (${label})`)),
    );
    from = sentence.end;
  }
  return [...parts, part(from)];
}

/** [1], [1, 3] and [2-4] with a button for each number that a passage has. */
function cited(text, numbered, goTo) {
  return text.split(/([[\u3010\uff3b] ?(?:[Pp]assages? |\^)?\d{1,6}(?: ?[-,;\u2013] ?\d{1,6})* ?[\]\u3011\uff3d])/).map((part, place) =>
    place % 2 === 0 ? part : part.slice(1, -1).split(/(\d+)/).map((number) => {
      const rank = numbered.get(Number(number));
      if (!number.trim() || !rank) return number.replace(/^[ ,;]+$/, "");
      return h("button", { type: "button", class: "cite", "aria-label": `Passage ${number}`, onclick: () => goTo(`sift-${rank}`) }, number);
    }));
}
