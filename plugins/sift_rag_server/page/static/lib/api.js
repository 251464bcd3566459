// Requests to the server that this page comes from.

const KEY = "sift-rag-key";
const TOKEN = "X-Sift-Rag-Token";

let token = "";
let askForKey = async () => null;
let asking = null;

/** An error reply, or no reply: status 0. The message is a sentence to show. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** Set how the key is asked for: a function that promises the key, or null if none is given. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

/** Read the session, and keep its token for `change`. */
export async function session() {
  const begun = await get("/page/session");
  token = begun.token;
  return begun;
}

/** GET a path that replies with JSON. */
export async function get(path, { signal } = {}) {
  return read(await send(path, { signal }));
}

/** POST a body as JSON, for requests that change nothing. */
export async function post(path, body, { signal } = {}) {
  return read(await send(path, asPost(body, signal)));
}

/** POST a body (JSON, FormData, or a file) that changes something: with the session's token. */
export async function change(path, body, { signal } = {}) {
  const request = () => {
    const made = asPost(body, signal);
    made.headers[TOKEN] = token;
    return made;
  };
  try {
    return await read(await send(path, request()));
  } catch (error) {
    if (error.status !== 403) throw error;
    await session(); // the server was started again: it has another token
    return read(await send(path, request()));
  }
}

/** POST, and call `onEvent(name, data)` for each event of the reply's stream. Resolves at its end. */
export async function events(path, body, { signal, onEvent }) {
  const response = await send(path, asPost(body, signal));
  const lines = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await lines.read().catch((error) => {
      throw failure(error);
    });
    rest += value ?? "";
    const parts = rest.split("\n\n");
    rest = parts.pop();
    for (const part of parts) deliver(part, onEvent);
    if (done) return;
  }
}

/** True for the error of a request that was given up for a newer one. */
export function isAborted(error) {
  return error?.name === "AbortError";
}

function deliver(part, onEvent) {
  let name = "message";
  const data = [];
  for (const line of part.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (data.length) onEvent(name, JSON.parse(data.join("\n")));
}

function asPost(body, signal) {
  if (body instanceof FormData || body instanceof Blob) return { method: "POST", body, headers: {}, signal };
  return { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal };
}

async function send(path, request) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...request.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const url = new URL(path.replace(/^\//, ""), document.baseURI.split("#")[0]);
  let response;
  try {
    response = await fetch(url, { ...request, headers, cache: "no-store", credentials: "omit" });
  } catch (error) {
    throw failure(error);
  }
  window.dispatchEvent(new CustomEvent("server-answers"));
  if (response.status === 401 && (await newKey(key))) return send(path, request);
  if (!response.ok) throw new ApiError(response.status, await messageOf(response));
  return response;
}

/** True if the server has refused a key, or may do so: one was given. */
export function hasKey() {
  return Boolean(sessionStorage.getItem(KEY));
}

/** Ask for the key once, however many requests need it; false if none is given. */
async function newKey(refused) {
  const held = sessionStorage.getItem(KEY);
  if (held !== refused) return true; // another request has got one meanwhile
  asking ??= askForKey(Boolean(refused)).finally(() => (asking = null));
  const key = await asking;
  if (key) sessionStorage.setItem(KEY, key);
  return Boolean(key);
}

function failure(error) {
  if (isAborted(error)) return error;
  window.dispatchEvent(new CustomEvent("server-gone"));
  return new ApiError(0, "The server does not answer. It may have been stopped.");
}

async function read(response) {
  try {
    return await response.json();
  } catch (error) {
    throw isAborted(error) ? error : failure(error);
  }
}

async function messageOf(response) {
  try {
    const body = await response.json();
    return body.message ?? body.error?.message ?? body.error ?? body.detail ?? `The server replied ${response.status}.`;
  } catch {
    return `The server replied ${response.status}.`;
  }
}
