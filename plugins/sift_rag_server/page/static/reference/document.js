// The description of the routes, /openapi.json. Where the server has a key, it is asked for in the page.

import { get, onKeyNeeded } from "../lib/api.js";
import { h, replace } from "../lib/dom.js";

export const place = document.querySelector("#reference");

/** Promise the description, or say why it cannot be shown and promise null. */
export async function description() {
  onKeyNeeded(askForKey);
  try {
    return await get("/openapi.json");
  } catch (error) {
    replace(place, h("p", { class: "waiting", role: "alert" }, error.message));
    return null;
  }
}

function askForKey() {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", id: "key", autocomplete: "off", required: true });
    const given = (event) => {
      event.preventDefault();
      resolve(input.value.trim());
    };
    replace(
      place,
      h("form", { class: "key", onsubmit: given }, h("label", { for: "key" }, "Key of the server"), input, h("button", { type: "submit" }, "Continue")),
    );
    input.focus();
  });
}
