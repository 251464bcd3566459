import { h, replace } from "../lib/dom.js";

export const title = "Ask";

export async function show(root, context) {
  replace(root, h("h1", {}, "Ask"), h("p", { class: "empty" }, "This view is not built yet."));
  return { close() {} };
}
