// Calls of the API, what they said, and the page brought up to date by its own address.
import { Idiomorph } from "./vendor/idiomorph-0.8.0.js";

export class ApiError extends Error {
  constructor(status, message, answer = {}) {
    super(message);
    this.status = status;
    this.answer = answer;
  }
}

const SILENT = "No answer from facewatch; is it still running?";

// Ask the API; `body` makes it a POST. Throws ApiError with the sentence of the server.
export async function api(path, body, { signal } = {}) {
  const options = body === undefined ? { signal } : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
  let response;
  try {
    response = await fetch(`/api/v1${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, SILENT);
  }
  const answer = await response.json().catch(() => null);
  if (answer === null && response.ok) throw new ApiError(0, SILENT);
  if (!response.ok) throw new ApiError(response.status, answer?.error ?? `the answer was ${response.status}`, answer ?? {});
  return answer;
}

// Make a decision, say what it did with its undo beside it, and show the page as it is now. `meanwhile` shows at once what is to be
// expected, and returns what takes that back if the decision fails; `onError` may take the error on itself (true: it has). Returns the
// answer; undefined: it failed.
export async function act(path, body = {}, { meanwhile, onError } = {}) {
  const takeBack = meanwhile?.();
  const answered = Promise.withResolvers();
  underWay.add(answered.promise);
  nActing++;
  try {
    const done = await api(path, body);
    remember(done.entry_id);
    answered.resolve();
    toast(done.said, done.entry_id, { isRedoable: done.is_redoable });
    await refresh();
    return done;
  } catch (error) {
    takeBack?.();
    if (meanwhile) refresh();
    if (!(error instanceof ApiError && onError?.(error))) fail(error);
    return undefined;
  } finally {
    nActing--;
    catchUp();
    answered.resolve();
    underWay.delete(answered.promise);
  }
}

export function fail(error) {
  if (!(error instanceof ApiError)) throw error;
  sayFault(error.message);
}

// Say what went wrong; as a sentence, unless it begins with a name ("IMG_1.jpg: …").
export function sayFault(text) {
  toast(/^(?!facewatch)[a-z]+ /.test(text) ? text[0].toUpperCase() + text.slice(1) : text, null, { isError: true });
}

// --- the page as it is now ---

// Fetch a page; null: nobody answered, or the answer broke off.
export async function fetchPage(url) {
  try {
    const response = await fetch(url, { headers: { Accept: "text/html" } });
    return { response, page: new DOMParser().parseFromString(await response.text(), "text/html") };
  } catch { return null; }
}

let newest = 0, nHolding = 0, isWanted = false, nActing = 0;

// Fetch this page again and change what differs; the focus, the place and what is typed stay.
export async function refresh() {
  if (nHolding) { isWanted = true; return; }
  const mine = ++newest, url = location.href;
  const found = await fetchPage(url);
  if (mine !== newest || found === null) return;
  const { response, page } = found;
  shown = stampOf(response.headers.get("Server-Timing") ?? "") ?? shown;
  if (!(response.ok || response.status === 404)) return;
  // More of the list was loaded meanwhile, or something is being typed into it.
  if (location.href !== url || nHolding) { await refresh(); return; }
  if (needsOf(page) === needsOf(document)) show(page); else reload();
}

// The scripts and styles of a page. Where others are needed, what is shown is gone, is there again, or the token is asked for.
const needsOf = (page) => [...page.querySelectorAll("script[src], link[rel=stylesheet]")].map((one) => one.getAttribute("src") ?? one.getAttribute("href")).join(" ");

// Load the page anew, and say there what was said last.
function reload() {
  const box = document.querySelector("#toasts .toast:last-child");
  if (box) carry({ said: box.firstChild.textContent, entry_id: box.dataset.entry, is_error: box.matches(".error") });
  location.reload();
}

// Every page says of which state of the catalog it is: a number, behind which start of the server it was.
const stampOf = (text) => { const found = text.match(/(\w+)-(\d+)/); return found && { start: found[1], version: Number(found[2]) }; };
const PAUSE = { least: 200, most: 5000, factor: 8 };
let shown = stampOf(performance.getEntriesByType("navigation")[0]?.serverTiming?.[0]?.description ?? ""), latest = shown, timer, notBefore = 0;

// The catalog is in this state now: the page follows at once, but of many changes not each, so that it stays quick.
export function changed(stamp) {
  latest = stampOf(stamp);
  catchUp();
}

function catchUp() {
  const isOld = latest !== null && (shown?.start !== latest.start || shown.version < latest.version);
  // A decision that was made here brings the page with it.
  if (!isOld || nActing || timer !== undefined) return;
  timer = setTimeout(async () => {
    const started = performance.now(), before = shown;
    await refresh();
    timer = undefined;
    const ended = performance.now();
    notBefore = ended + Math.min(PAUSE.most, Math.max(PAUSE.least, PAUSE.factor * (ended - started)));
    // Where the page cannot be had now, only the next change is a reason to try again.
    if (shown !== before) catchUp();
  }, Math.max(0, notBefore - performance.now()));
}

// Leave the page as it is until what this returns is called: somebody types in the middle of it.
export function hold() {
  nHolding++;
  let isHeld = true;
  return () => {
    if (!isHeld) return;
    isHeld = false;
    if (--nHolding === 0 && isWanted) { isWanted = false; refresh(); }
  };
}

// Put another state of this page in the place of what is shown. Elements with data-keep stay as they are.
function show(page) {
  document.dispatchEvent(new CustomEvent("refreshing"));
  document.title = page.title;
  const isKept = (node) => node instanceof Element && node.hasAttribute("data-keep");
  Idiomorph.morph(document.querySelector("main"), page.querySelector("main"), {
    // It would leave all that is inside of the active element as it is; that shall be so for fields only.
    ignoreActiveValue: document.activeElement?.matches("input, textarea, select") ?? false,
    restoreFocus: true,
    callbacks: {
      beforeNodeMorphed: (old) => !isKept(old),
      beforeNodeRemoved: (old) => !isKept(old),
      beforeAttributeUpdated: (name, node) => !owned.get(node)?.has(name),
    },
  });
  document.dispatchEvent(new CustomEvent("refreshed"));
}

const owned = new WeakMap();

// Set attributes that scripts alone decide; null: it has none. A refresh leaves them as they are. Elements that come and go need an
// id, or a refresh may make one of them what another was.
export function own(node, attributes) {
  const names = owned.get(node) ?? new Set();
  owned.set(node, names);
  for (const [name, value] of Object.entries(attributes)) {
    names.add(name);
    if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== `${value}`) node.setAttribute(name, value);
  }
}

// Show what is searched for by these words: they stand in the address, and its first part comes.
export function searchFor(words) {
  const url = new URL(location.href);
  if (words.trim()) url.searchParams.set("q", words); else url.searchParams.delete("q");
  for (const name of ["page", "upto"]) url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
  return refresh();
}

// --- keys ---

export const TYPED_IN = "input, textarea, select, [contenteditable]";

// Whether a key is not for the page: something is typed, a dialog is open, or somebody took it already.
export function isTaken(event) {
  return event.defaultPrevented || event.altKey || event.isComposing || event.target.matches?.(TYPED_IN) || document.querySelector("dialog[open]") !== null;
}

// --- undo ---

const DECISIONS = "decisions";
const MOST = 50;

const underWay = new Set();

const remembered = () => JSON.parse(sessionStorage.getItem(DECISIONS) ?? "[]");

// Let `undoLast` know of a decision that was made here.
export function remember(entryId) {
  if (entryId === null || entryId === undefined) return;
  sessionStorage.setItem(DECISIONS, JSON.stringify([...remembered(), entryId].slice(-MOST)));
}

// Let `undoLast` forget a decision that was taken back.
export function forget(entryId) {
  sessionStorage.setItem(DECISIONS, JSON.stringify(remembered().filter((one) => one !== entryId)));
}

// Take back one decision; what builds on it is shown first.
export async function undo(entryId) {
  forget(entryId);
  document.querySelectorAll(`.toast[data-entry="${entryId}"]`).forEach((box) => box.remove());
  return (await import("./undo.js")).undo(entryId);
}

// Take back the last decision that was made in this tab.
export async function undoLast() {
  // It may have been made a moment ago, and not be answered yet.
  await Promise.all(underWay);
  const last = remembered().at(-1);
  if (last === undefined) toast("Nothing to undo here; History lists all decisions");
  else await undo(last);
}

// Return an element with these properties and children.
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// --- what is said ---

const SECONDS = 8;

// Say something for some seconds; of a decision, with its undo and the way to its place in the history.
// `offer`: a button besides, { label, work }.
export function toast(text, entryId = null, { isError = false, isRedoable = false, offer = null } = {}) {
  const box = element("div", { className: isError ? "toast error" : "toast" }, element("span", { textContent: text }));
  const button = (label, work) => box.append(element("button", { type: "button", textContent: label, onclick: () => { box.remove(); work(); } }));
  if (entryId !== null && entryId !== undefined) {
    box.append(element("a", { href: `/history/${entryId}`, textContent: "History" }));
    box.dataset.entry = entryId;
    button("Undo", () => undo(entryId));
  }
  if (offer) button(offer.label, offer.work);
  if (isRedoable) button("Redo", () => act("/journal/redo"));
  const toasts = document.getElementById("toasts");
  // The same said twice is said once.
  [...toasts.querySelectorAll(".error")].find((one) => isError && one.textContent === box.textContent)?.remove();
  toasts.append(box);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => box.remove(), 1000 * (isError || offer ? 2 * SECONDS : SECONDS));
}

// --- dialogs ---

// Show another page's content as a dialog; it is a page of its own without scripts. `ready` is given the dialog when it is shown.
// What has `autofocus` has the focus first. What is submitted or chosen in it closes it with dialog.close(value); returns the value, "" if it was left.
export async function openDialog(url, ready = () => {}) {
  const found = await fetchPage(url), content = found?.page.querySelector("main");
  if (!found?.response.ok) { fail(new ApiError(0, content?.querySelector("p")?.textContent ?? SILENT)); return ""; }
  return await ask((dialog) => { dialog.replaceChildren(...content.childNodes); ready(dialog); });
}

// Show the page's dialog, filled by `fill`; returns what it was closed with, "" if it was left.
export function ask(fill) {
  const dialog = document.getElementById("dialog");
  if (dialog.open) dialog.close("");
  fill(dialog);
  const heading = dialog.querySelector("h1, h2");
  if (heading) heading.id = "dialog-title";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => { dialog.replaceChildren(); resolve(dialog.returnValue); }, { once: true });
  });
}

// Go to another page, and say there what was done here.
const SAID = "said";
const carry = (said) => sessionStorage.setItem(SAID, JSON.stringify(said));

export function goTo(url, { said, entry_id }) {
  carry({ said, entry_id });
  location.href = url;
}

// Say what the page before has done.
export function sayCarried() {
  const carried = JSON.parse(sessionStorage.getItem(SAID) ?? "null");
  sessionStorage.removeItem(SAID);
  if (carried) toast(carried.said, carried.entry_id, { isError: carried.is_error });
}

// Call `work` once, when it has not been asked for again for so long.
export function debounced(work, milliseconds) {
  let timer;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => work(...values), milliseconds); };
}
