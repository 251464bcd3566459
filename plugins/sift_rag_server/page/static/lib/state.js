// The state of the page is in its address: #/ask?collection=handbook&q=...&k=5. A link restores it.

/** The view that the address names, and its values as URLSearchParams. */
export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { view: path || "ask", values: new URLSearchParams(query) };
}

/**
 * Put values into the address, in place of those of the same names; others stay. A list is a repeated value; null, "",
 * false and [] remove a value. Makes no entry in the history.
 */
export function write(values) {
  const { view, values: held } = read();
  history.replaceState(null, "", hash(view, merged(held, values)));
}

/** The address of a view with values. */
export function hash(view, values) {
  const query = (values instanceof URLSearchParams ? values : merged(new URLSearchParams(), values ?? {})).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

function merged(held, values) {
  for (const [name, value] of Object.entries(values)) {
    held.delete(name);
    const given = Array.isArray(value) ? value : [value];
    for (const one of given) {
      if (one !== null && one !== undefined && one !== "" && one !== false) held.append(name, String(one));
    }
  }
  return held;
}
