// Calls of the API, what they said, and the page brought up to date by its own address.
import { Idiomorph } from "./vendor/idiomorph-0.8.0.js";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Ask the API; `body` makes it a POST. Throws ApiError with the sentence of the server.
export async function api(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(`/api/v1${path}`, options);
  } catch {
    throw new ApiError(0, "facewatch does not answer; is it still running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, answer.error ?? `the answer was ${response.status}`);
  return answer;
}

// Make a decision, say what it did with its undo beside it, and show the page as it is now. Returns the answer; undefined: it failed.
export async function act(path, body = {}) {
  try {
    const done = await api(path, body);
    await refresh();
    toast(done.said, done.entry_id, { isRedoable: done.is_redoable });
    return done;
  } catch (error) {
    fail(error);
    return undefined;
  }
}

export function fail(error) {
  if (!(error instanceof ApiError)) throw error;
  toast(error.message, null, { isError: true });
}

let newest = 0;

// Fetch this page again and change what differs; the focus, the place and what is typed stay.
export async function refresh(url = location.href) {
  const mine = ++newest;
  const response = await fetch(url, { headers: { Accept: "text/html" } });
  const text = await response.text();
  if (mine !== newest || !response.ok) return;
  show(new DOMParser().parseFromString(text, "text/html"));
}

// Put another state of this page in the place of what is shown.
export function show(page) {
  document.title = page.title;
  Idiomorph.morph(document.querySelector("main"), page.querySelector("main"), {
    ignoreActiveValue: true,
    restoreFocus: true,
    callbacks: {
      beforeNodeMorphed: (old) => !(old instanceof Element && old.hasAttribute("data-keep")),
      beforeNodeRemoved: (old) => !(old instanceof Element && old.hasAttribute("data-keep")),
    },
  });
  document.dispatchEvent(new CustomEvent("refreshed"));
}

const SECONDS = 8;

// Say something for some seconds; of a decision, with its undo and the way to its place in the history.
export function toast(text, entryId = null, { isError = false, isRedoable = false } = {}) {
  const box = document.createElement("div");
  box.className = isError ? "toast error" : "toast";
  const words = document.createElement("span");
  words.textContent = text;
  box.append(words);
  const button = (label, work) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.addEventListener("click", () => { box.remove(); work(); });
    box.append(made);
  };
  if (entryId !== null && entryId !== undefined) {
    const link = document.createElement("a");
    link.href = `/history/${entryId}`;
    link.textContent = "History";
    box.append(link);
    button("Undo", async () => (await import("./undo.js")).undo(entryId));
  }
  if (isRedoable) button("Redo", () => act("/journal/redo"));
  const toasts = document.getElementById("toasts");
  toasts.append(box);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => box.remove(), 1000 * (isError ? 2 * SECONDS : SECONDS));
}

// Call `work` once, when it has not been asked for again for so long.
export function debounced(work, milliseconds) {
  let timer;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => work(...values), milliseconds); };
}
