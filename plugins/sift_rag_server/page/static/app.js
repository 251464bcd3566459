// The shell: which view is shown, of which collection, and what is said when the server cannot be asked.
//
// A view is a module with `title` and `async show(root, context)`, which fills `root` and returns `{close()}`. Its
// context: `session` (see page/session.py), `collection` (a name, or null if there is none), `state` (the address's
// values, URLSearchParams), `navigate(view, values)`, `refresh()` (read the session again, after a change).

import * as api from "./lib/api.js";
import { h, replace } from "./lib/dom.js";
import * as state from "./lib/state.js";

const VIEWS = { ask: "ask", map: "map", documents: "collection", collection: "collection", compare: "compare" };

const WRONG_KEY = "That key is not this server's.";

const main = document.querySelector("#main");
const banner = document.querySelector("#banner");
const choice = document.querySelector("#collection");

let session = null;
let shown = { close() {} };
let turn = 0;

/** Show the view that the address names. */
async function showView() {
  const mine = ++turn;
  const { view, values } = state.read();
  const name = view in VIEWS ? view : "ask";
  for (const link of document.querySelectorAll("#nav a")) {
    if (VIEWS[link.dataset.view] === VIEWS[name]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown.close();
  shown = { close() {} };
  try {
    if (!session) replace(main, h("p", { class: "hint loading" }, "Loading …"));
    session ??= await api.session();
    const module = await import(`./views/${VIEWS[name]}.js`);
    if (mine !== turn) return;
    const collection = chosen(values);
    fillChoice(collection);
    document.title = `${module.title} · sift-rag`;
    const root = h("div", { class: `view view-${name}` });
    const hadFocus = main.contains(document.activeElement);
    replace(main, root);
    const view = await module.show(root, { session, collection, state: values, navigate, refresh });
    if (mine !== turn) return view?.close?.();
    shown = view ?? shown;
    if (hadFocus && document.activeElement === document.body) focusHeading(root); // what had the focus is gone
  } catch (error) {
    if (mine !== turn || api.isAborted(error)) return;
    if (!(error instanceof api.ApiError)) console.error(error);
    replace(main, h("p", { class: "notice notice-bad", role: "alert" }, sentence(error)), again("Try again"));
  }
}

function focusHeading(root) {
  const heading = root.querySelector("h1") ?? main;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

function chosen(values) {
  const names = session.collections.map((one) => one.name);
  const asked = values.get("collection");
  if (asked) return asked;
  return names.includes(session.default_collection) ? session.default_collection : (names[0] ?? null);
}

function fillChoice(collection) {
  const names = session.collections.map((one) => one.name);
  if (collection !== null && !names.includes(collection)) names.push(collection); // the view says what is wrong
  replace(choice, names.map((name) => h("option", { value: name, selected: name === collection }, name)));
  document.querySelector("#collection-choice").hidden = names.length < 1;
  replace(document.querySelector("#foot"), `sift-rag ${session.version}`);
}

function navigate(view, values = {}) {
  const collection = state.read().values.get("collection");
  location.hash = state.hash(view, { collection, ...values });
}

async function refresh() {
  session = await api.session();
  fillChoice(chosen(state.read().values));
  return session;
}

function sentence(error) {
  if (error.status === 401) return api.hasKey() ? WRONG_KEY : "This server needs its key before it shows anything.";
  if (error instanceof api.ApiError) return error.message;
  return "This view could not be shown: that is a bug of the page. The browser's console has the details.";
}

function again(label) {
  return h("button", { type: "button", class: "button", onclick: startAgain }, label);
}

function startAgain() {
  session = null;
  banner.hidden = true;
  showView();
}

/** Ask for the key in a dialog. */
function askForKey(wrong) {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", id: "key", autocomplete: "off", required: true });
    const dialog = h(
      "dialog",
      { class: "dialog dialog-small", "aria-labelledby": "key-title" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "key-title" }, "Key"),
        h("p", {}, wrong ? WRONG_KEY : "This server shows its collections to those who have its key."),
        h("label", { class: "field", for: "key" }, h("span", {}, "Key of the server"), input),
        h("p", { class: "hint" }, "It is kept until this tab is closed."),
        h("div", { class: "row row-end" },
          h("button", { type: "button", class: "button-plain", onclick: () => dialog.close("") }, "Cancel"),
          h("button", { type: "submit", class: "button", value: "given" }, "Continue"),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "given" ? input.value.trim() : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

api.onKeyNeeded(askForKey);
choice.addEventListener("change", () => navigate(state.read().view, { collection: choice.value }));
document.querySelector("#skip").addEventListener("click", () => main.focus());
window.addEventListener("hashchange", showView);
window.addEventListener("server-gone", () => {
  replace(banner, h("span", {}, "The server does not answer. It may have been stopped."), again("Try again"));
  banner.hidden = false;
});
window.addEventListener("server-answers", () => (banner.hidden = true));
showView();
