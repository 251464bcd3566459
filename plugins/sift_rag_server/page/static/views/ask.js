// Ask: what nearest neighbour takes beside what SIFT takes, live.

import * as api from "../lib/api.js";
import { count, debounced, h, replace } from "../lib/dom.js";
import * as state from "../lib/state.js";
import { answerPanel } from "./ask/answer.js";
import { openDocument } from "./ask/document.js";
import { controls, optionsOf } from "./ask/controls.js";
import { headline, results as drawnResults } from "./ask/results.js";

export const title = "Ask";

const WAIT = 30; // milliseconds that a moving slider rests before a request, while another one is on its way
const KEPT = 20_000; // milliseconds for which a reply is shown again when a slider comes back: as long as the server's searches

export async function show(root, context) {
  const { collection, session } = context;
  if (collection === null) {
    replace(root, nothingYet("This server has no collection.", session, "sift-rag ingest FOLDER"));
    return { close() {} };
  }
  let running = null; // the request on its way
  let current = optionsOf(context.state, session.defaults);

  const above = h("div", {});
  const results = h("div", { class: "ask-results" });
  const status = h("p", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  const answer = answerPanel({ session, collection, goTo: (id) => goTo(results, id) });
  const panel = controls(current, { changed: later, now: (options) => ask(options, true) });
  const drawn = drawnResults({
    open: (passage) => openDocument(collection, passage),
    know: (id) => panel.know(id),
    goTo: (id) => goTo(results, id),
  });
  const replies = new Map();
  replace(
    root,
    h("h1", { class: "visually-hidden" }, "Ask"),
    panel.element,
    status,
    above,
    session.model ? [answer.element, results] : [results, answer.element],
  );
  const soon = debounced(WAIT, ask);

  function later(options) {
    current = options;
    if (running) soon(options);
    else ask(options);
  }

  /** Show the reply for these options: one that is kept, unless it is to be `fresh`. */
  async function ask(options = current, fresh = false) {
    soon.cancel();
    current = options;
    state.write({ collection, ...options.values });
    running?.abort();
    if (!options.questions.length) {
      answer.hide();
      replace(above);
      replace(results, welcome(context));
      return;
    }
    const body = { ...options.body, collection };
    const key = JSON.stringify(body);
    if (fresh) replies.clear();
    const kept = replies.get(key);
    if (kept && performance.now() < kept.until) {
      running = null;
      results.removeAttribute("aria-busy");
      draw(kept.reply);
      answer.offer(body, kept.reply);
      return;
    }
    const mine = (running = new AbortController());
    results.setAttribute("aria-busy", "true");
    try {
      const reply = await api.post("/page/choice", body, { signal: mine.signal });
      replies.set(key, { reply, until: performance.now() + KEPT });
      draw(reply);
      answer.offer(body, reply);
    } catch (error) {
      if (api.isAborted(error)) return;
      answer.hide();
      replace(above);
      replace(results, h("p", { class: "notice notice-bad", role: "alert" }, problem(error, collection)));
    } finally {
      if (mine === running) {
        running = null;
        results.removeAttribute("aria-busy");
      }
    }
  }

  function draw(reply) {
    const sentences = headline(reply);
    const focused = focusedControl(results);
    replace(above, sentences.element);
    drawn.fill(reply);
    if (results.firstElementChild !== drawn.element) replace(results, drawn.element);
    focused?.(results)?.focus({ preventScroll: true });
    status.textContent = sentences.text;
  }

  if (current.questions.length) await ask(current);
  else {
    replace(results, welcome(context));
    panel.focus();
  }
  panel.fit();
  return {
    close() {
      soon.cancel();
      running?.abort();
      answer.close();
    },
  };
}

/** A function that finds the focused control of a card again, in new results; null if none has the focus. */
function focusedControl(results) {
  const card = document.activeElement?.closest(".ask-card");
  if (!card || !results.contains(card)) return null;
  const [side] = card.id.split("-");
  const control = `.${document.activeElement.classList[document.activeElement.classList.length - 1] ?? "ask-card"}`;
  const passage = `[data-passage="${CSS.escape(card.dataset.passage)}"]`;
  return (drawn) => drawn.querySelector(`.ask-${side} ${passage} ${control}`) ?? drawn.querySelector(`.ask-${side} .ask-card ${control}`);
}

/** Scroll to a card and let it be seen: where a link of a card or of the answer leads. */
function goTo(root, id) {
  const card = root.querySelector(`#${CSS.escape(id)}`);
  if (!card) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  card.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "center" });
  card.focus({ preventScroll: true });
  card.classList.add("is-target");
  setTimeout(() => card.classList.remove("is-target"), 1600);
}

function welcome({ session, collection }) {
  const found = session.collections.find((one) => one.name === collection);
  if (found?.passages === 0) return nothingYet(`“${collection}” is empty.`, session, `sift-rag ingest FOLDER -c ${collection}`);
  const held = found?.passages ? `“${collection}” holds ${count(found.passages, "passage")} of ${count(found.documents, "document")}. ` : "";
  return h(
    "div",
    { class: "empty" },
    h("p", {}, "Ask something that your documents answer. You see what a plain vector search would hand to a language model, " +
      "and what SIFT hands over: passages chosen together, so that each adds to those before it."),
    h("p", {}, held, "The difference shows best where several documents, or versions of one, answer the question."),
  );
}

function nothingYet(sentence, session, command) {
  const here = ["Add documents on the page ", h("a", { href: "#/documents" }, "Documents"), ", or run "];
  return h(
    "div",
    { class: "empty" },
    h("h1", {}, "No documents yet"),
    h("p", {}, sentence, " ", session.may_ingest ? here : "Run ", h("code", {}, command), "."),
  );
}

function problem(error, collection) {
  if (!(error instanceof api.ApiError)) {
    console.error(error);
    return "The reply could not be shown: that is a bug of the page. The browser's console has the details.";
  }
  if (error.status === 404 && error.message.startsWith("There is no such collection")) {
    return `There is no collection “${collection}” on this server. Choose another at the top of the page.`;
  }
  return error.message;
}
