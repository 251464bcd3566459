// Map: the candidates of a question, or a sample of the collection, in two dimensions.

import * as api from "../lib/api.js";
import { count, debounced, h, replace, svg } from "../lib/dom.js";
import * as state from "../lib/state.js";
import { readable, withoutHeadings } from "./ask/text.js";

export const title = "Map";

const WIDTH = 600;
const HEIGHT = 600;
const MARGIN = 36;
const FIRST = 0.12; // distance of the most similar passage from the middle, of the radius
const SIDES = {
  nearest: ["Nearest neighbour", "Nearest"],
  picked: ["SIFT", "SIFT"],
};
const WHOLE = { x: 0, y: 0, scale: 1 };

export async function show(root, context) {
  if (context.collection === null) {
    replace(root, h("p", { class: "empty" }, "There is no collection yet. Add documents first; then this shows them as a map."));
    return { close() {} };
  }
  const view = new MapView(root, context);
  view.load();
  return { close: () => view.close() };
}

class MapView {
  constructor(root, { collection, state: values }) {
    this.collection = collection;
    this.drawn = null;
    this.zoom = WHOLE;
    this.panels = [];
    this.abort = new AbortController();
    this.question = h("input", { type: "search", id: "map-q", value: values.get("q") ?? "", placeholder: "Leave it empty to see the whole collection", autocomplete: "off" });
    this.k = h("input", { type: "range", id: "map-k", min: 1, max: 20, value: within(values.get("k"), 5, 1, 20) });
    this.kShown = h("output", { for: "map-k", "aria-live": "off" }, this.k.value);
    this.points = h("select", { id: "map-points" }, [100, 200, 500].map((n) => h("option", { value: n, selected: n === within(values.get("points"), 200, 100, 500) }, n)));
    const later = debounced(150, () => this.load());
    this.later = later;
    this.k.addEventListener("input", () => {
      replace(this.kShown, this.k.value);
      later();
    });
    this.points.addEventListener("change", () => this.load());
    const submit = (event) => {
      event.preventDefault();
      this.load();
    };
    this.copies = h("input", { type: "checkbox", checked: values.get("hide") !== "copies", onchange: () => this.draw() });
    this.canvas = h("div", { class: "map-panels" });
    this.told = h("p", { class: "map-told", role: "status" });
    this.detail = h("div", { class: "card map-detail", "aria-live": "polite" });
    this.note = h("p", { class: "hint map-note" });
    replace(
      root,
      h("h1", { class: "visually-hidden" }, "Map"),
      h("form", { class: "map-form", onsubmit: submit, role: "search" },
        h("label", { class: "field map-question", for: "map-q" }, h("span", {}, "Question"), this.question),
        h("label", { class: "field", for: "map-k" }, h("span", {}, "Passages picked ", this.kShown), this.k),
        h("label", { class: "field", for: "map-points" }, h("span", {}, "Passages shown"), this.points),
        h("button", { class: "button", type: "submit" }, "Show"),
      ),
      this.told,
      this.legend(),
      h("div", { class: "map-body" }, this.canvas, this.detail),
      this.note,
    );
  }

  close() {
    this.later.cancel();
    this.abort.abort();
  }

  legend() {
    this.legendOthers = h("span", {});
    this.legendPicks = h("span", { class: "row" },
      h("span", { class: "map-key" }, sample("nearest"), sample("picked"), "Picked, in order; ×3 if it is picked three times"),
      h("span", { class: "map-key" }, sample("question"), "Question"));
    return h("div", { class: "row map-legend", role: "group", "aria-label": "What is shown" },
      this.legendPicks,
      h("span", { class: "map-key" }, sample("point"), this.legendOthers),
      h("label", { class: "map-key" }, this.copies, sample("copy"), "Copies of others"));
  }

  async load() {
    this.later.cancel();
    this.abort.abort();
    this.abort = new AbortController();
    const q = this.question.value.trim();
    state.write({ q, k: this.k.value, points: this.points.value });
    const body = q
      ? { query: q, k: Number(this.k.value), points: Number(this.points.value), collection: this.collection }
      : { collection: this.collection };
    this.canvas.setAttribute("aria-busy", "true");
    try {
      const map = await api.post("/page/map", body, { signal: this.abort.signal });
      if (!this.drawn || Boolean(this.drawn.picks) !== Boolean(map.picks)) this.zoom = WHOLE;
      this.drawn = map;
      this.draw();
    } catch (error) {
      if (api.isAborted(error)) return;
      this.drawn = null;
      replace(this.canvas);
      replace(this.detail);
      replace(this.note);
      replace(this.told, h("span", { class: "notice notice-bad" }, error.message));
    } finally {
      this.canvas.removeAttribute("aria-busy");
    }
  }

  draw() {
    const map = this.drawn;
    if (!map) return;
    const asked = map.picks !== null;
    this.legendPicks.hidden = !asked;
    replace(this.legendOthers, asked ? "Other passages" : "Passages");
    state.write({ hide: this.copies.checked ? null : "copies" });
    replace(this.told, asked ? contrast(map.picks) : wholly(map));
    replace(this.note, axes(map));
    this.place = asked ? around(map.points) : scaled(map.points);
    this.panels = [];
    const panels = asked
      ? Object.keys(SIDES).map((side) => this.panel(map, side))
      : [h("div", { class: "map-panel" }, this.pictured(map, null))];
    this.canvas.classList.toggle("is-asked", asked);
    replace(this.canvas, panels);
    this.move();
    this.tell(asked ? map.points.find((one) => one.picked === 1) : null);
  }

  /** What one method picks: the picture, and the picks as a list. */
  panel(map, side) {
    const [name] = SIDES[side];
    const { count: all, distinct } = map.picks[side];
    const picks = ranked(map, side);
    const item = (one) => h("li", {}, h("button", { type: "button", class: "button-quiet", onclick: () => this.tell(one) }, where(one)),
      repeatsOne(one, picks, map) && h("span", { class: "chip chip-warn" }, "repeats another"));
    return h("section", { class: `map-panel map-panel-${side}`, "aria-labelledby": `map-${side}` },
      h("h2", { id: `map-${side}` }, name),
      h("p", { class: "hint" }, all === distinct ? `${count(all, "passage")}, all different` : `${count(all, "passage")}, ${distinct} different`),
      this.pictured(map, side),
      h("ol", { class: "map-list" }, picks.map(item)));
  }

  pictured(map, side) {
    const layer = svg("g", {}, this.marks(map, side));
    const label = side ? `Candidates around the question, and what ${SIDES[side][0]} picks. The picks can be reached with Tab.` : "Map of the collection: a dot for each passage. The view Documents lists them.";
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "map-svg", role: "group", "aria-label": label }, layer);
    this.panels.push({ picture, layer });
    this.pan(picture);
    return h("div", { class: "map-canvas" }, picture, this.buttons());
  }

  marks(map, side) {
    const shown = map.points.filter((one) => this.copies.checked || one.copy_of === null);
    const dots = shown.map((one) => this.dot(one, this.place(one)));
    if (!side) return dots;
    const stacks = stacked(map, side);
    const middle = { x: WIDTH / 2, y: HEIGHT / 2 };
    const lines = stacks.map(([first]) => {
      const { x, y } = this.place(first);
      return svg("line", { class: `map-spoke map-spoke-${side}`, x1: middle.x, y1: middle.y, x2: x, y2: y });
    });
    const cross = svg("g", { class: "map-cross", transform: `translate(${middle.x} ${middle.y})` },
      svg("path", { d: "M-8 0H8M0 -8V8" }), svg("title", {}, `Question: ${map.questions.join(" / ")}`));
    return [rings(map.points), lines, dots, cross, stacks.reverse().map((stack) => this.stack(stack, side))];
  }

  dot(one, { x, y }) {
    return svg("circle", { class: one.copy_of === null ? "map-dot" : "map-dot map-dot-copy", cx: x, cy: y, r: 4, ...this.handlers(one) });
  }

  /** Picks that say the same: one mark for the first, with as many edges behind it as there are repeats. */
  stack(stack, side) {
    const [first] = stack;
    const { x, y } = this.place(first);
    const times = stack.length > 1 ? ` and ${count(stack.length - 1, "repeat")} of it` : "";
    const behind = stack.slice(1, 5).map((_, place) => svg("circle", { class: "map-behind", r: 12, cx: 5 * (place + 1), cy: -5 * (place + 1) })).reverse();
    const edge = 5 * Math.min(4, stack.length - 1) + 14;
    return svg("g", { class: `map-pick map-pick-${side}`, transform: `translate(${x} ${y})`, tabindex: 0, role: "img", "aria-label": `${SIDES[side][1]} ${first[side]}: ${first.source}${times}`, onkeydown: step, ...this.handlers(first, stack) },
      svg("g", { class: "map-mark" }, behind, svg("circle", { r: 12 }), svg("text", { "text-anchor": "middle", dy: "0.35em" }, first[side]),
        stack.length > 1 && svg("text", { class: "map-times", x: edge, y: -edge + 12 }, `×${stack.length}`)));
  }

  handlers(one, stack = [one]) {
    const tell = () => this.tell(one, stack);
    return { onpointerenter: tell, onfocus: tell, onclick: tell };
  }

  tell(one, stack = [one]) {
    if (!one) {
      replace(this.detail, h("p", { class: "hint" }, "Point at a passage, or tap it, to read how it begins."));
      return;
    }
    const leader = one.copy_of === null ? null : this.drawn.points[one.copy_of];
    replace(
      this.detail,
      h("p", { class: "row" },
        one.picked ? h("span", { class: "chip chip-accent" }, `SIFT ${one.picked}`) : null,
        one.nearest ? h("span", { class: "chip" }, `Nearest ${one.nearest}`) : null,
        leader ? h("span", { class: "chip chip-warn" }, `Repeats ${leader.source}`) : null,
        one.similarity === null ? null : h("span", { class: "hint" }, `match ${one.similarity.toFixed(2)}`)),
      h("h2", {}, where(one)),
      stack.length > 1 && h("p", { class: "hint" }, `Picked again as ${stack.slice(1).map(where).join(", ")}`),
      h("div", { class: "ask-text map-text" }, readable(withoutHeadings(one.text, [one.title]), one.source, []), Array.from(one.text).length >= 240 && " …"),
    );
  }

  buttons() {
    const by = (factor) => () => this.magnify(factor, WIDTH / 2, HEIGHT / 2);
    const whole = () => {
      this.zoom = WHOLE;
      this.move();
    };
    const one = (label, text, act) => h("button", { type: "button", class: "button-plain", "aria-label": label, title: label, onclick: act }, text);
    return h("div", { class: "map-buttons" }, one("Closer", "+", by(1.5)), one("Farther", "−", by(1 / 1.5)), one("Show all", "⤢", whole));
  }

  magnify(factor, x, y) {
    const scale = Math.min(20, Math.max(1, this.zoom.scale * factor));
    const by = scale / this.zoom.scale;
    this.zoom = { scale, x: x - by * (x - this.zoom.x), y: y - by * (y - this.zoom.y) };
    this.move();
  }

  move() {
    const { x, y, scale } = this.zoom;
    for (const { picture, layer } of this.panels) {
      layer.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
      picture.style.setProperty("--unit", String(1 / scale)); // marks keep their size
    }
  }

  pan(picture) {
    const at = (event) => {
      const box = picture.getBoundingClientRect();
      return { x: ((event.clientX - box.left) * WIDTH) / box.width, y: ((event.clientY - box.top) * HEIGHT) / box.height };
    };
    let from = null;
    picture.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = at(event);
      this.magnify(Math.exp(-event.deltaY / 400), x, y);
    }, { passive: false });
    picture.addEventListener("pointerdown", (event) => (from = { ...at(event), zoom: this.zoom }));
    picture.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      const { x, y } = at(event);
      this.zoom = { ...from.zoom, x: from.zoom.x + x - from.x, y: from.zoom.y + y - from.y };
      this.move();
    });
    picture.addEventListener("pointerup", () => (from = null));
  }
}

/** Left and right, up and down lead from one pick to the next. */
function step(event) {
  const forward = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!forward) return;
  event.preventDefault();
  const picks = [...event.currentTarget.parentNode.querySelectorAll(".map-pick")].reverse(); // the first is drawn last, on top
  picks[(picks.indexOf(event.currentTarget) + forward + picks.length) % picks.length].focus();
}

function sample(mark) {
  const shapes = {
    picked: svg("g", { class: "map-pick map-pick-picked" }, svg("circle", { r: 8 })),
    nearest: svg("g", { class: "map-pick map-pick-nearest" }, svg("circle", { r: 8 })),
    copy: svg("circle", { class: "map-dot map-dot-copy", r: 4.5 }),
    point: svg("circle", { class: "map-dot", r: 4.5 }),
    question: svg("g", { class: "map-cross" }, svg("path", { d: "M-8 0H8M0 -8V8" })),
  };
  return svg("svg", { viewBox: "-11 -11 22 22", width: 20, height: 20, "aria-hidden": "true" }, shapes[mark]);
}

/** The point of the whole page in a sentence. */
function contrast({ nearest, picked }) {
  const told = ({ count: all, distinct }) =>
    `${count(distinct, "different passage")} and ${all === distinct ? "no repeats" : count(all - distinct, "repeat")}`;
  const alike = nearest.alike === null || picked.alike === null ? "" :
    ` Two of nearest neighbour’s picks have a similarity of ${nearest.alike.toFixed(2)} on average, two of SIFT’s ${picked.alike.toFixed(2)}.`;
  return [h("b", {}, `Nearest neighbour picks ${told(nearest)}; SIFT picks ${told(picked)}.`), alike];
}

/** What the places mean. */
function axes(map) {
  const share = Math.round(100 * map.shown);
  if (map.picks) {
    return "The nearer to the middle, the more similar to the question: the rings say how much. Passages that lie in the " +
      `same direction are alike as far as a circle can show it: it shows ${share} % of how these ${count(map.points.length, "passage")} differ (two principal components).`;
  }
  return `Near each other means alike in meaning. The two directions in which these ${count(map.points.length, "passage")} differ most show ${share} % of their differences (principal components).`;
}

function ranked(map, side) {
  return map.points.filter((one) => one[side]).sort((a, b) => a[side] - b[side]);
}

/** The picks of a method, those that say the same together, in the order of their first. */
function stacked(map, side) {
  const stacks = new Map();
  for (const one of ranked(map, side)) {
    const leader = one.copy_of === null ? one : map.points[one.copy_of];
    if (!stacks.has(leader)) stacks.set(leader, []);
    stacks.get(leader).push(one);
  }
  return [...stacks.values()];
}

function repeatsOne(one, picks, map) {
  const leader = (other) => other.copy_of ?? map.points.indexOf(other);
  return picks.slice(0, picks.indexOf(one)).some((other) => leader(other) === leader(one));
}

function wholly(map) {
  const all = map.points.length === map.passages;
  const copies = map.points.filter((one) => one.copy_of !== null).length;
  const of = all ? `All ${count(map.passages, "passage")} of the collection` : `A sample of ${map.points.length.toLocaleString("en")} of ${count(map.passages, "passage")}`;
  return `${of}; ${copies ? `${copies.toLocaleString("en")} of them repeat${copies === 1 ? "s" : ""} another one` : "none repeats another one"}. Ask a question to see what is picked for it.`;
}

function where(one) {
  const place = one.page !== null ? `, page ${one.page}` : one.line !== null ? `:${one.line}` : "";
  return `${one.source}${place}`;
}

/** Distances from the middle by similarity: from the greatest to the least. */
function radii(points) {
  const found = points.map((one) => one.similarity);
  const [most, least] = [Math.max(...found), Math.min(...found)];
  const unit = (Math.min(WIDTH, HEIGHT) / 2 - MARGIN) * (1 - FIRST) / (most - least || 1);
  const first = (Math.min(WIDTH, HEIGHT) / 2 - MARGIN) * FIRST;
  return { most, least, radius: (similarity) => first + unit * (most - similarity) };
}

/** A function from points to places around the question: similarity is the distance, the rest the direction. */
function around(points) {
  const { radius } = radii(points);
  return (one) => {
    const angle = Math.atan2(one.y, one.x);
    const far = radius(one.similarity);
    return { x: Number((WIDTH / 2 + far * Math.cos(angle)).toFixed(1)), y: Number((HEIGHT / 2 - far * Math.sin(angle)).toFixed(1)) };
  };
}

/** Circles of equal similarity, with their numbers. */
function rings(points) {
  const { most, least, radius } = radii(points);
  const size = most - least > 0.35 ? 0.2 : most - least > 0.12 ? 0.1 : 0.02;
  const found = [];
  for (let at = Math.floor(most / size) * size; at >= least && found.length < 8; at -= size) found.push(at);
  return found.map((at) => [
    svg("circle", { class: "map-circle", cx: WIDTH / 2, cy: HEIGHT / 2, r: radius(at) }),
    svg("text", { class: "map-number", x: WIDTH / 2, y: HEIGHT / 2 + radius(at) - 4, "text-anchor": "middle", "aria-hidden": "true" }, at.toFixed(2).replace(/0$/, "")),
  ]);
}

/** A function from coordinates to places in the picture, with equal units in both directions. */
function scaled(points) {
  const span = (name) => {
    const values = points.map((one) => one[name]);
    return [Math.min(...values), Math.max(...values)];
  };
  const [[left, right], [low, high]] = [span("x"), span("y")];
  const unit = Math.min((WIDTH - 2 * MARGIN) / (right - left || 1), (HEIGHT - 2 * MARGIN) / (high - low || 1));
  return (one) => ({
    x: Number((WIDTH / 2 + unit * (one.x - (left + right) / 2)).toFixed(1)),
    y: Number((HEIGHT / 2 - unit * (one.y - (low + high) / 2)).toFixed(1)),
  });
}

function within(text, usual, least, most) {
  const number = Number(text);
  return text && Number.isInteger(number) && number >= least && number <= most ? number : usual;
}
