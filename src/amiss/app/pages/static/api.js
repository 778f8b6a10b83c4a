// This server's API: JSON in, JSON out. A refusal is an Error whose message is for people.

const ROOT = "/api/v1/";

export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    Object.assign(this, { status, problem });
  }
}

export const address = (path, query = {}) => {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return ROOT + path + (given.length ? `?${new URLSearchParams(given)}` : "");
};

export async function ask(method, path, { query, body, signal } = {}) {
  const options = { method, signal, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(address(path, query), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { detail: "The server doesn't answer. Is it running, and are you connected to it?" });
  }
  const text = await response.text();
  let values = null;
  try {
    values = text ? JSON.parse(text) : null;
  } catch { /* no JSON: what the status says is all there is */ }
  if (response.ok) return values;
  if (response.status === 401 && path !== "login") signIn();
  throw new Refusal(response.status, values ?? {});
}

export const get = (path, query, signal) => ask("GET", path, { query, signal });
export const post = (path, body = {}) => ask("POST", path, { body });
export const patch = (path, body) => ask("PATCH", path, { body });
export const remove = (path) => ask("DELETE", path);

let isLeaving = false;

export async function signOut() {
  isLeaving = true; // what was asked at the same time is refused from now on, and leads nowhere
  try {
    await post("logout");
  } catch (error) {
    isLeaving = false;
    throw error;
  }
  location.assign("/login");
}

function signIn() {
  if (isLeaving) return;
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

// What happens, as it happens: handlers by kind of event. The browser connects again by itself; `lost` is told of it.
export function listen(handlers, lost = () => {}) {
  const source = new EventSource(address("stream"));
  for (const [kind, handler] of Object.entries(handlers)) {
    source.addEventListener(kind, (event) => handler(JSON.parse(event.data)));
  }
  source.addEventListener("open", () => lost(false));
  source.addEventListener("error", () => lost(true));
  addEventListener("pagehide", () => source.close());
  return source;
}
