// Elements from code. Text becomes text nodes, never markup.

// Controls (C0 but tab and newline, DEL, C1), zero-width and bidirectional formatting, line separators, specials, and
// lone surrogates: all that would be invisible, or would change how the text around it reads.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]|\p{Surrogate}/gu;

/** Text that can be shown: control and direction characters become visible marks such as ⟨U+202E⟩. */
export function safe(text) {
  return String(text ?? "")
    .replaceAll("\r\n", "\n")
    .replace(UNSEEN, (character) => {
      const code = character.codePointAt(0);
      if (code < 0x20) return String.fromCodePoint(0x2400 + code);
      return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    });
}

/**
 * An element: h("p", {class: "notice"}, "Text ", h("b", {}, "more")).
 * Attributes: `onclick` and other functions become listeners, `data-...` and `aria-...` are set as they are, true is an
 * attribute without a value, false, null and undefined leave it out; `value`, `checked`, `open`, `selected` and
 * `disabled` are set as properties. Children: nodes, texts, numbers, arrays; null and false are left out.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes);
  append(element, children);
  return element;
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes);
  append(element, children);
  return element;
}

/** Put new children in place of all there are. */
export function replace(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
  return parent;
}

const keys = new WeakMap();

/**
 * Put new children in place of those there are, but leave each whose key is that of the new one at its place: it keeps
 * its state, and nothing is laid out anew. `items`: [key, make()] for each child.
 */
export function refill(parent, items) {
  for (const [place, [key, make]] of items.entries()) {
    const held = parent.children[place];
    if (held && keys.get(held) === key) continue;
    const made = make();
    keys.set(made, key);
    if (held) held.replaceWith(made);
    else parent.append(made);
  }
  while (parent.children.length > items.length) parent.lastElementChild.remove();
}

/** Let a function run once, `milliseconds` after the last of several calls. `.now()` runs it at once. */
export function debounced(milliseconds, run) {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(run, milliseconds, ...values);
  };
  later.now = (...values) => {
    clearTimeout(timer);
    run(...values);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** A number of things: count(1, "passage") is "1 passage", count(1200, "passage") is "1,200 passages". */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

const PROPERTIES = new Set(["value", "checked", "open", "selected", "disabled", "indeterminate"]);

function fill(element, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else if (PROPERTIES.has(name) && name in element) element[name] = value;
    else element.setAttribute(name, value === true ? "" : safe(value));
  }
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(safe(child)));
  }
}
