// The two columns, what is said above them, and what was passed over.

import { count, h, refill, replace } from "../../lib/dom.js";
import { marked, readable, withoutHeadings } from "./text.js";

const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(100 * Math.min(1, share))} %`);
const places = (number, of) => `${number} of its ${of} ${of === 1 ? "place" : "places"}`;

/** Two sentences that say what differs: {element, text}. */
export function headline(reply) {
  const { nearest, sift } = reply;
  const near = [...nearest.hits, ...sift.hits].some((hit) => hit.repeats?.kind === "near");
  const known = nearest.hits.some((hit) => hit.repeats?.kind === "known");
  const shown = known ? "that you know or have been shown" : near ? "that it has shown already, or nearly" : "that it has shown already";
  const left = nearest.hits.length;
  const spends = (side) => (side.repeats ? String(side.repeats) : "none");
  let first;
  if (nearest.repeats) {
    first = `Nearest neighbour spends ${places(nearest.repeats, left)} on text ${shown}; SIFT spends ${spends(sift)}.`;
  } else if (sift.repeats) {
    first = `SIFT spends ${places(sift.repeats, sift.hits.length)} on text ${shown}; nearest neighbour spends none.`;
  } else {
    const fresh = sift.hits.filter((hit) => !nearest.hits.some((other) => other.id === hit.id));
    const followed = fresh.filter((hit) => hit.follows).length;
    first = !fresh.length
      ? "Nothing repeats here, and both take the same passages."
      : followed
        ? `Nothing repeats here. SIFT follows up its first passage with ${count(followed, "passage")} that nearest neighbour does not take.`
        : `Nothing repeats here. SIFT takes ${count(fresh.length, "passage")} that nearest neighbour does not.`;
  }
  const second = sift.told === null ? "" : `Of what the ${count(reply.candidates, "nearest passage")} could tell about the ${reply.questions.length > 1 ? "questions" : "question"}, ${shares(sift, nearest)}.`;
  return {
    text: `${first} ${second}`,
    element: h("div", { class: "ask-headline" }, h("p", { class: "ask-first" }, first), second && h("p", {}, second)),
  };
}

function shares(sift, nearest) {
  const [ours, theirs] = [percent(sift.told), percent(nearest.told)];
  return ours === theirs ? `the picks of either tell ${ours}` : `SIFT’s picks tell ${ours} and nearest neighbour’s ${theirs}`;
}

/**
 * Both columns, and what was passed over: {element, fill(reply)}. A card that stays as it is is not drawn again, and
 * keeps its state. `actions`: open(passage), know(id), goTo(element id).
 */
export function results(actions) {
  const left = column("nearest", "Nearest neighbour", "A plain vector search: the passages most similar to the question.", "SIFT", actions);
  const right = column("sift", "SIFT", "sift-rag: each passage for what it adds to those above it.", "nearest neighbour", actions);
  const passed = passedOver(actions);
  const element = h("div", {}, h("div", { class: "ask-columns" }, left.element, right.element), passed.element);
  return {
    element,
    fill(reply) {
      for (const one of element.querySelectorAll(".is-partner")) one.classList.remove("is-partner");
      const known = reply.known.map((passage) => passage.id);
      left.fill(reply.nearest, known, elsewhere(reply.sift));
      right.fill(reply.sift, known, elsewhere(reply.nearest));
      passed.fill(reply.passed_over);
    },
  };
}

const elsewhere = (side) => new Set(side.hits.flatMap((hit) => [hit.id, ...(hit.also_in ?? []).map((copy) => copy.id)]));

function column(name, title, about, otherName, actions) {
  const told = h("div", {});
  const cards = h("ol", { class: "ask-cards" });
  const nothing = h("p", { class: "hint" }, "Nothing.");
  const element = h(
    "section",
    { class: `ask-column ask-${name}`, "aria-labelledby": `${name}-title` },
    h("div", { class: "ask-column-head" },
      h("h2", { id: `${name}-title` }, title),
      h("p", { class: "hint" }, about),
      told,
    ),
    cards,
    nothing,
  );
  return {
    element,
    fill(side, known, others) {
      replace(told, toldBar(side, title));
      refill(cards, side.hits.map((hit) => {
        const facts = { isKnown: known.includes(hit.id), isShared: others.has(hit.id), otherName };
        return [JSON.stringify([hit, facts]), () => h("li", {}, card(name, hit, facts, actions))];
      }));
      nothing.hidden = side.hits.length > 0;
    },
  };
}

/** How much is told after each pick: a segment for each. */
function toldBar(side, title) {
  if (side.told === null) return null;
  const label = `${title}: told so far ${percent(side.told)} of what the nearest passages could tell`;
  const bar = h("div", { class: "told", role: "img", "aria-label": label },
    side.hits.map((hit) => {
      const part = h("span", { class: hit.repeats ? "told-part is-repeat" : "told-part", title: `#${hit.rank} adds ${percent(hit.adds)}` });
      part.style.setProperty("--adds", `${100 * Math.max(0, hit.adds)}%`);
      return part;
    }));
  return h("div", { class: "told-line" }, h("span", { class: "told-label" }, "Told so far"), bar,
    h("span", { class: "told-number" }, percent(side.told)));
}

function card(name, hit, { isKnown, isShared, otherName }, actions) {
  const id = `${name}-${hit.rank}`;
  const repeats = hit.repeats;
  const partner = repeats && repeats.rank > 0 ? `${name}-${repeats.rank}` : null;
  const element = h(
    "article",
    { class: `card ask-card${repeats ? " is-copy" : ""}`, id, tabindex: "-1", "data-passage": hit.id, "aria-label": `${hit.rank}: ${hit.source}` },
    h("header", { class: "ask-card-head" },
      h("span", { class: "ask-rank", "aria-hidden": "true" }, hit.rank),
      h("div", { class: "ask-place" },
        h("button", { type: "button", class: "ask-source", onclick: () => actions.open(hit), title: "Open in the document" },
          place(hit)),
        headings(hit)),
      h("span", { class: "ask-match", title: "Similarity with the question" }, match(hit)),
    ),
    text(hit),
    h("footer", { class: "ask-card-foot" },
      repeats && repeated(repeats, partner, actions),
      !repeats && name === "sift" && reasons(hit),
      !repeats && hit.adds !== null && h("span", { class: "ask-adds" }, hit.adds < 0.005 ? "adds under 1 %" : `adds ${percent(hit.adds)}`),
      !isShared && !repeats && h("span", { class: "ask-only" }, `not taken by ${otherName}`),
      copies(hit),
      h("button", { type: "button", class: "button-quiet ask-know", "aria-pressed": isKnown ? "true" : "false",
        onclick: () => actions.know(hit.id) }, isKnown ? "I know this ✓" : "I know this"),
    ),
  );
  if (partner) {
    const highlight = (on) => () => document.getElementById(partner)?.classList.toggle("is-partner", on);
    for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]]) {
      element.addEventListener(event, highlight(on));
    }
  }
  return element;
}

function repeated(repeats, partner, actions) {
  if (!partner) return h("span", { class: "chip chip-warn" }, "you know this already");
  const verb = repeats.kind === "copy" ? "repeats" : "nearly repeats";
  return h("button", { type: "button", class: "chip chip-warn ask-repeats", onclick: () => actions.goTo(partner) },
    `${verb} #${repeats.rank}`);
}

/** Why SIFT picked it, in plain words. */
function reasons(hit) {
  const words = hit.new_words.slice(0, 5);
  return [
    hit.rank > 1 && words.length > 0 && h("span", { class: "chip chip-accent" }, `new: ${words.join(", ")}`),
    hit.rank === 1 && h("span", { class: "chip chip-accent" }, "tells most by itself"),
    hit.follows && h("span", { class: "chip chip-accent", title: "It continues what the first passage says." }, "follows #1"),
    hit.rank > 1 && !words.length && !hit.follows && h("span", { class: "chip chip-accent" }, "new meaning"),
  ];
}

function copies(hit) {
  const count = hit.also_in?.length ?? 0;
  if (!count) return null;
  const shown = hit.also_in.slice(0, 3).map(place).join(", ");
  return h("span", { class: "hint", title: hit.also_in.map(place).join("\n").slice(0, 2000) },
    `also in ${shown}${count > 3 ? ` and ${count - 3} more` : ""}`);
}

function passedOver(actions) {
  const summary = h("summary", {});
  const list = h("ul", {});
  const element = h("details", { class: "ask-passed" }, summary, list);
  const item = (passed) =>
    h("li", {},
      h("button", { type: "button", class: "ask-source", onclick: () => actions.open(passed) }, place(passed)),
      h("span", { class: "ask-match" }, match(passed)),
      h("span", { class: "ask-why" }, why(passed, actions)),
      h("p", { class: "ask-snippet" }, marked(oneLine(body(passed)).slice(0, 220), passed.words)));
  let all = [];
  const draw = () => element.open && refill(list, all.map((passed) => [JSON.stringify(passed), () => item(passed)]));
  element.addEventListener("toggle", draw);
  return {
    element,
    fill(passed) {
      all = passed;
      element.hidden = !all.length;
      replace(summary, `Near the question, and not chosen by SIFT: ${all.length}`);
      draw();
    },
  };
}

/** The reason as the server gives it, with the passage that it names as a link. */
function why(passed, actions) {
  const link = (rank) => h("button", { type: "button", class: "button-quiet", onclick: () => actions.goTo(`sift-${rank}`) }, `#${rank}`);
  return passed.reason.split(/#(\d+)/).map((part, place) => (place % 2 ? link(part) : part));
}

/** Where a passage stands: guide/travel.md:12, report.pdf, page 3. */
export function place(passage) {
  if (passage.page) return `${passage.source}, page ${passage.page}`;
  return passage.line ? `${passage.source}:${passage.line}` : passage.source;
}

function headings(hit) {
  const path = hit.headings.length ? hit.headings.join(" › ") : hit.title;
  return path ? h("p", { class: "ask-headings" }, path) : null;
}

function match(hit) {
  if (typeof hit.reranker_score === "number") return `score ${hit.reranker_score.toFixed(2)}`;
  return hit.similarity === null ? "" : `match ${hit.similarity.toFixed(2)}`;
}

const body = (hit) => withoutHeadings(hit.text, [hit.title, ...(hit.headings ?? [])]);

const oneLine = (text) => text.replace(/\s+/g, " ");

function text(hit) {
  const shown = body(hit);
  const content = h("div", { class: "ask-text" }, readable(shown, hit.source, hit.words), hit.cut && " …");
  if (shown.length <= 280 && shown.split("\n").length <= 5) return content;
  content.classList.add("is-cut");
  const more = h("button", { type: "button", class: "button-quiet ask-more", "aria-expanded": "false", onclick: () => {
    const cut = content.classList.toggle("is-cut");
    more.setAttribute("aria-expanded", String(!cut));
    more.textContent = cut ? "More" : "Less";
  } }, "More");
  return [content, more];
}
