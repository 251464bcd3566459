import { h, replace } from "../lib/dom.js";

export const title = "Compare";

export async function show(root, context) {
  replace(root, h("p", { class: "empty" }, "This view is not built yet."));
  return { close() {} };
}
