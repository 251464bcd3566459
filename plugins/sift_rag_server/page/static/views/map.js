// Map: the candidates of a question, or a sample of the collection, in two dimensions.

import * as api from "../lib/api.js";
import { count, debounced, h, replace, svg } from "../lib/dom.js";
import * as state from "../lib/state.js";

export const title = "Map";

const WIDTH = 800;
const HEIGHT = 560;
const MARGIN = 40;
const HIDDEN = ["nearest", "picked", "copies"];

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
    this.zoom = { x: 0, y: 0, scale: 1 };
    this.abort = new AbortController();
    const hidden = values.getAll("hide");
    this.question = h("input", { type: "search", id: "map-q", value: values.get("q") ?? "", placeholder: "Leave it empty to see the whole collection", autocomplete: "off" });
    this.k = h("input", { type: "range", id: "map-k", min: 1, max: 20, value: within(values.get("k"), 5, 1, 20) });
    this.kShown = h("output", { for: "map-k" }, this.k.value);
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
    this.toggles = Object.fromEntries(HIDDEN.map((name) => [name, h("input", { type: "checkbox", checked: !hidden.includes(name), onchange: () => this.draw() })]));
    this.canvas = h("div", { class: "map-canvas" });
    this.told = h("p", { class: "map-told", role: "status" });
    this.detail = h("div", { class: "card map-detail", "aria-live": "polite" });
    this.list = h("div", { class: "card map-list" });
    this.note = h("p", { class: "hint" });
    replace(
      root,
      h("h1", { class: "visually-hidden" }, "Map"),
      h("form", { class: "map-form", onsubmit: submit, role: "search" },
        h("label", { class: "field map-question", for: "map-q" }, h("span", {}, "Question"), this.question),
        h("label", { class: "field", for: "map-k" }, h("span", {}, "Passages picked ", this.kShown), this.k),
        h("label", { class: "field", for: "map-points" }, h("span", {}, "Candidates shown"), this.points),
        h("button", { class: "button", type: "submit" }, "Show"),
      ),
      this.told,
      h("div", { class: "map-body" },
        h("div", { class: "map-left" }, this.legend(), this.canvas, this.note),
        h("div", { class: "map-side" }, this.detail, this.list),
      ),
    );
  }

  close() {
    this.later.cancel();
    this.abort.abort();
  }

  legend() {
    const key = (name, mark, text) => h("label", { class: "map-key" }, this.toggles[name], sample(mark), text);
    this.legendPicks = h("span", { class: "row" }, key("picked", "picked", "SIFT's picks, in order"), key("nearest", "nearest", "Nearest neighbours"));
    this.legendQuestion = h("span", { class: "map-key" }, sample("question"), "Question");
    return h("div", { class: "row map-legend", role: "group", "aria-label": "What is shown" },
      this.legendPicks,
      key("copies", "copy", "Copies, linked to what they repeat"),
      this.legendQuestion,
      h("span", { class: "map-key" }, sample("point"), "Other passages"));
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
      if (!this.drawn || Boolean(this.drawn.picks) !== Boolean(map.picks)) this.zoom = { x: 0, y: 0, scale: 1 };
      this.drawn = map;
      this.draw();
    } catch (error) {
      if (api.isAborted(error)) return;
      this.drawn = null;
      replace(this.canvas);
      replace(this.list);
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
    this.legendPicks.hidden = this.legendQuestion.hidden = this.list.hidden = !asked;
    state.write({ hide: HIDDEN.filter((name) => !this.toggles[name].checked) });
    replace(this.told, asked ? contrast(map.picks) : wholly(map));
    const share = Math.round(100 * map.shown);
    replace(this.note, `Near each other means alike in meaning. The two directions in which these ${count(map.points.length, "passage")} differ most show ${share} % of their differences (principal components).`);
    const place = scaled([...map.points, ...map.questions]);
    this.layer = svg("g", {}, this.marks(map, place));
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "map-svg", role: "group", "aria-label": asked ? "Map of the candidates. The picks can be reached with Tab." : "Map of the collection." }, this.layer);
    this.move();
    this.pan();
    replace(this.canvas, this.picture, this.buttons());
    replace(this.list, asked ? this.lists(map) : null);
    this.tell(asked ? map.points.find((one) => one.picked === 1) : null);
  }

  marks(map, place) {
    const [nearest, picked, copies] = HIDDEN.map((name) => this.toggles[name].checked);
    const shown = map.points.filter((one) => copies || one.copy_of === null || one.picked || (nearest && one.nearest));
    const links = copies
      ? shown.filter((one) => one.copy_of !== null).map((one) => {
          const [a, b] = [place(one), place(map.points[one.copy_of])];
          return svg("line", { class: "map-link", x1: a.x, y1: a.y, x2: b.x, y2: b.y });
        })
      : [];
    const dots = shown.map((one) => this.dot(one, place(one)));
    const rings = nearest ? shown.filter((one) => one.nearest).map((one) => this.ring(one, place(one))) : [];
    const numbers = picked ? shown.filter((one) => one.picked).sort((a, b) => a.picked - b.picked).map((one) => this.pick(one, place(one))) : [];
    const crosses = map.questions.map((one) => {
      const { x, y } = place(one);
      return svg("g", { class: "map-cross", transform: `translate(${x} ${y})` }, svg("path", { d: "M-9 0H9M0 -9V9" }), svg("title", {}, `Question: ${one.text}`));
    });
    return [links, dots, rings, crosses, numbers];
  }

  dot(one, { x, y }) {
    return svg("circle", { class: one.copy_of === null ? "map-dot" : "map-dot map-dot-copy", cx: x, cy: y, r: 4.5, ...this.handlers(one) });
  }

  ring(one, { x, y }) {
    return svg("circle", { class: "map-ring", cx: x, cy: y, r: 13, tabindex: 0, role: "img", "aria-label": `Nearest ${one.nearest}: ${one.source}`, ...this.handlers(one) });
  }

  pick(one, { x, y }) {
    return svg("g", { class: "map-pick", transform: `translate(${x} ${y})`, tabindex: 0, role: "img", "aria-label": `SIFT ${one.picked}: ${one.source}`, onkeydown: step, ...this.handlers(one) },
      svg("circle", { r: 10 }), svg("text", { "text-anchor": "middle", dy: "0.35em" }, one.picked));
  }

  handlers(one) {
    const tell = () => this.tell(one);
    return { onpointerenter: tell, onfocus: tell, onclick: tell };
  }

  tell(one) {
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
        one.similarity === null ? null : h("span", { class: "hint" }, `similarity ${one.similarity.toFixed(2)}`)),
      h("h2", {}, where(one)),
      h("p", { class: "map-text" }, one.text),
    );
  }

  lists(map) {
    const of = (name) => map.points.filter((one) => one[name]).sort((a, b) => a[name] - b[name]);
    const item = (one) => h("li", {}, h("button", { type: "button", class: "button-quiet", onclick: () => this.tell(one) }, where(one)),
      one.copy_of === null ? null : h("span", { class: "hint" }, " repeats another"));
    return [
      h("h2", {}, "SIFT picks"), h("ol", {}, of("picked").map(item)),
      h("h2", {}, "Nearest neighbour picks"), h("ol", {}, of("nearest").map(item)),
    ];
  }

  buttons() {
    const by = (factor) => () => this.magnify(factor, WIDTH / 2, HEIGHT / 2);
    const whole = () => {
      this.zoom = { x: 0, y: 0, scale: 1 };
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
    this.layer.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
    this.picture.style.setProperty("--unit", String(1 / scale)); // marks keep their size
  }

  pan() {
    const at = (event) => {
      const box = this.picture.getBoundingClientRect();
      return { x: ((event.clientX - box.left) * WIDTH) / box.width, y: ((event.clientY - box.top) * HEIGHT) / box.height };
    };
    let from = null;
    this.picture.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = at(event);
      this.magnify(Math.exp(-event.deltaY / 400), x, y);
    }, { passive: false });
    this.picture.addEventListener("pointerdown", (event) => (from = { ...at(event), zoom: this.zoom }));
    this.picture.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      const { x, y } = at(event);
      this.zoom = { ...from.zoom, x: from.zoom.x + x - from.x, y: from.zoom.y + y - from.y };
      this.move();
    });
    this.picture.addEventListener("pointerup", () => (from = null));
  }
}

/** Left and right, up and down lead from one pick to the next. */
function step(event) {
  const forward = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!forward) return;
  event.preventDefault();
  const picks = [...event.currentTarget.parentNode.querySelectorAll(".map-pick")];
  picks[(picks.indexOf(event.currentTarget) + forward + picks.length) % picks.length].focus();
}

function sample(mark) {
  const shapes = {
    picked: svg("g", { class: "map-pick" }, svg("circle", { r: 8 })),
    nearest: svg("circle", { class: "map-ring", r: 8 }),
    copy: svg("circle", { class: "map-dot map-dot-copy", r: 4.5 }),
    point: svg("circle", { class: "map-dot", r: 4.5 }),
    question: svg("g", { class: "map-cross" }, svg("path", { d: "M-8 0H8M0 -8V8" })),
  };
  return svg("svg", { viewBox: "-11 -11 22 22", width: 20, height: 20, "aria-hidden": "true" }, shapes[mark]);
}

/** The point of the whole page in a sentence. */
function contrast({ nearest, picked }) {
  const repeats = ({ count: all, distinct }) => (all === distinct ? "none of which repeats another" : `${all - distinct} of which ${all - distinct === 1 ? "repeats" : "repeat"} another`);
  const alike = (one) => (one.alike === null ? "" : ` (mean similarity of two: ${one.alike.toFixed(2)})`);
  const told = (name, one) => [h("b", {}, name), ` picks ${count(one.count, "passage")}, ${repeats(one)}${alike(one)}`];
  return [told("Nearest neighbour", nearest), "; ", told("SIFT", picked), "."];
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
