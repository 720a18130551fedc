// The review: one question at a time, one key each. What was answered is shown at once; the server is told one answer after the other.
import { ApiError, api, element, fail, fetchPage, forget, hold, isTaken, own, refresh, remember, undo } from "./core.js";
import { Names } from "./names.js";

const AHEAD = 3;
const SKIPPED = "skipped";

const stage = document.getElementById("stage");
const said = document.querySelector("#said p"), undoButton = document.querySelector("#said .undo-last");

const skipped = new Set(JSON.parse(sessionStorage.getItem(SKIPPED) ?? "[]"));
const answered = new Set();  // in this tab, and not undone
const returning = new Set(); // their answers are being taken back
const given = [];            // answers that `u` takes back, the newest last: { id, article, entry: a promise }
let ahead = new Map();       // the questions that come next, by id: their articles, with pictures that are there already
let names = null;
let telling = Promise.resolve();
let isFilling = false, isWanted = false;

const article = () => document.getElementById("question");
const idOf = (one) => one?.dataset.question ?? null;
const addressOf = (id) => `/review/${encodeURIComponent(id).replaceAll("%3A", ":").replaceAll("%2B", "+")}`;
const keepSkipped = () => sessionStorage.setItem(SKIPPED, JSON.stringify([...skipped]));

// What comes next is never what is shown, or was answered or skipped meanwhile.
function setAhead(next) {
  const shown = idOf(article());
  ahead = new Map([...next].filter(([id, one]) => one !== null && id !== shown && !answered.has(id) && !skipped.has(id)));
  own(stage, { "data-ahead": ahead.size });
}

// --- what is shown ---

// Put a question on the stage. The view does not jump: its head and the answers stay where they are.
function show(next, { isNew = true } = {}) {
  const focused = document.activeElement, verb = stage.contains(focused) ? focused.dataset?.verb : null;
  // What stands beside it is as it was before there were questions.
  if (!idOf(article()) && idOf(next)) refresh();
  names?.destroy();
  article().replaceWith(next);
  ready(next);
  const id = idOf(next);
  if (id && isNew) history.replaceState(history.state, "", addressOf(id));
  document.title = `${heading(next).textContent} – facewatch`;
  window.scrollTo(0, 0);
  // Who answers with a button has it under the finger again; everybody else is told what is asked.
  const again = verb ? next.querySelector(`[data-verb="${verb}"]`) : null;
  (again ?? heading(next)).focus({ preventScroll: true });
}

const heading = (one) => one.querySelector("h1");

// Give an article what only scripts do.
function ready(one) {
  one.querySelectorAll("[data-more]").forEach((button) => own(button, { hidden: null }));
  const faces = facesOf(one);
  faces.forEach((face, i) => { face.tabIndex = i ? -1 : 0; });
  const input = one.querySelector(".answer-name input");
  names = input ? new Names(input, { newLabel: (text) => `New person “${text}”` }) : null;
  if (names === null) return;
  names.onPick = ({ name }) => give("name", { name });
  names.onLeave = () => { input.value = ""; heading(one).focus({ preventScroll: true }); };
  input.form.addEventListener("submit", (event) => event.preventDefault());
}

const facesOf = (one) => [...one.querySelectorAll(".question-face:not([hidden])")];

function message(title, sentence, isBusy = false) {
  const head = element("h1", { id: "question-heading", tabIndex: -1, textContent: title });
  if (isBusy) head.setAttribute("aria-busy", "true");
  return element("article", { id: "question", className: isBusy ? "question" : "question empty" }, head, ...(sentence ? [element("p", { textContent: sentence })] : []));
}

const waiting = () => message("Finding what to ask…", "", true);

function end(sentence) {
  const n = skipped.size, capital = sentence[0].toUpperCase() + sentence.slice(1);
  const made = message(n ? "Nothing else to ask" : "Review", n ? "" : `${capital}.`);
  made.dataset.none = "";
  if (n) {
    const again = () => { skipped.clear(); keepSkipped(); show(waiting()); fill(); };
    const label = n === 1 ? "Ask the skipped question again" : `Ask the ${n} skipped questions again`;
    made.append(element("button", { type: "button", className: "primary", textContent: label, onclick: again }));
  }
  return made;
}

function say(text, { isError = false } = {}) {
  said.textContent = text;
  said.classList.toggle("error", isError);
  own(undoButton, { hidden: given.length ? null : "" });
}

// --- what comes next ---

// Ask what comes next, and have its pages and pictures ready; once more when that was called for meanwhile.
async function fill() {
  isWanted = true;
  if (isFilling) return;
  isFilling = true;
  try {
    while (isWanted) { isWanted = false; await fillOnce(); }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say(error.message, { isError: true });
  } finally {
    isFilling = false;
  }
}

async function fillOnce() {
  const shown = idOf(article()), isReturning = returning.has(shown);
  const without = [...skipped, ...answered, ...(shown ? [shown] : [])];
  const found = await api("/review/next", { n: AHEAD, without, shown });
  const coming = found.questions.filter(({ id }) => !answered.has(id) && !skipped.has(id) && id !== idOf(article()));
  const kept = new Map();
  for (const { id } of coming) kept.set(id, ahead.get(id) ?? null);
  for (const id of kept.keys()) {
    if (kept.get(id) === null) kept.set(id, await fetched(id));
    setAhead(kept);
    if (!idOf(article())) advance();
  }
  if (found.gone && shown === idOf(article()) && !isReturning && !returning.has(shown)) { say(`${found.gone}.`); advance(); } else if (!idOf(article())) advance();
  if (!ahead.size && !idOf(article()) && !("none" in article().dataset)) show(end(found.said || "nothing else to ask"), { isNew: false });
}

// Return a question's article with pictures that can be shown at once; null: it is not to be had.
async function fetched(id) {
  const answer = await fetchPage(addressOf(id));
  if (!answer?.response.ok) return null;
  const found = answer.page.getElementById("question");
  if (!found || found.dataset.gone !== "" || idOf(found) !== id) return null;
  const one = document.importNode(found, true);
  await Promise.all([...one.querySelectorAll(".question-face:not([hidden]) img")].map((image) => image.decode().catch(() => {})));
  return one;
}

// Show the next question, which is there already; if none is, say so until it comes.
function advance() {
  const next = ahead.entries().next();
  if (next.done) { if (!("none" in article().dataset)) show(waiting(), { isNew: false }); return; }
  show(next.value[1]);
  setAhead(ahead);
}

// --- answers ---

function give(verb, details = {}) {
  const one = article(), id = idOf(one);
  if (!id || one.dataset.gone) return;
  if (verb === "skip") { skip(id); return; }
  answered.add(id);
  const answer = { id, article: one, entry: null };
  given.push(answer);
  // The page is not fetched again between the answer and what comes of it.
  const release = hold();
  advance();
  answer.entry = telling.then(() => tell(answer, verb, details)).finally(release);
  telling = answer.entry;
}

const press = ({ dataset: { verb, faceId } }) => give(verb, faceId ? { face: Number(faceId) } : {});

// A question that is skipped comes again in the end; no answer, so nobody need know.
function skip(id) {
  skipped.add(id);
  keepSkipped();
  given.push({ id, article: article(), entry: null });
  advance();
  say("Skipped; it is asked again in the end.");
  fill();
}

// Make an answer known; returns its entry in the journal, null: it decided nothing.
async function tell(answer, verb, details) {
  try {
    const done = await api("/review/answers", { question: answer.id, answer: verb, ...details });
    if (done.entry_id === null) drop(answer); else remember(done.entry_id);
    say(`${done.said[0].toUpperCase()}${done.said.slice(1)}.`);
    if (done.halves.length) await showHalves(done.halves);
    return done.entry_id;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    drop(answer);
    say(error.message, { isError: true });
    // What is resolved meanwhile is passed over; everything else is asked again.
    if (error.status !== 409 && error.status !== 404) bringBack(answer);
    return null;
  } finally {
    fill();
  }
}

// There is nothing of it to take back.
function drop(answer) {
  const at = given.indexOf(answer);
  if (at >= 0) given.splice(at, 1);
}

async function showHalves(ids) {
  const halves = [];
  for (const id of ids) { const one = await fetched(id); if (one) halves.push([id, one]); }
  putFirst(halves);
}

function bringBack(answer) {
  answered.delete(answer.id);
  if (idOf(article()) !== answer.id) putFirst([[answer.id, answer.article]]);
}

// Show the first of these now; the others come next, and then what is shown now.
function putFirst([first, ...others]) {
  if (first === undefined) return;
  const shown = article();
  show(first[1]);
  setAhead([...others, ...(idOf(shown) ? [[idOf(shown), shown]] : []), ...ahead]);
}

async function takeBack() {
  const answer = given.pop();
  if (!answer) return;
  bringBack(answer);
  returning.add(answer.id);
  if (answer.entry === null) { skipped.delete(answer.id); returning.delete(answer.id); keepSkipped(); say(""); fill(); return; }
  const release = hold();
  telling = telling.then(async () => {
    const entry = await answer.entry;
    if (entry === null) return;
    try {
      await api(`/journal/${entry}/undo`, {});
      forget(entry);
      say(`Taken back: ${heading(answer.article).textContent}`);
    } catch (error) {
      answered.add(answer.id);
      if (idOf(article()) === answer.id) advance();
      fail(error);
      say("");
    }
  }).finally(() => { returning.delete(answer.id); release(); fill(); });
}

// --- keys and clicks ---

function more() {
  const button = stage.querySelector("[data-more]:not([hidden])");
  if (!button) return;
  const hidden = [...button.parentElement.querySelectorAll(".question-face[hidden]")];
  hidden.slice(0, 24).forEach((face) => { face.hidden = false; face.tabIndex = -1; });
  if (hidden.length <= 24) button.hidden = true;
  else button.firstChild.textContent = `${hidden.length - 24} more `;
}

function move(step) {
  const faces = facesOf(article()), at = faces.indexOf(document.activeElement);
  const next = faces[at < 0 ? (step > 0 ? 0 : faces.length - 1) : Math.min(Math.max(at + step, 0), faces.length - 1)];
  if (!next) return;
  faces.forEach((face) => { face.tabIndex = face === next ? 0 : -1; });
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function openPhoto() {
  const faces = facesOf(article());
  const face = faces.includes(document.activeElement) ? document.activeElement : faces[0];
  if (face) location.assign(face.href);
}

// Before the keys that every page has: here, `u` takes back the last answer and shows its question again.
document.addEventListener("keydown", (event) => {
  if (isTaken(event) || event.ctrlKey || event.metaKey) return;
  const button = stage.querySelector(`.answers [data-key="${CSS.escape(event.key)}"]`);
  const field = stage.querySelector(".answer-name input");
  if (event.key === "u" && given.length) takeBack();
  else if (button && !event.repeat) press(button);
  else if (field && (event.key === "t" || (event.key === "Enter" && !event.target.closest("a, button")))) field.focus();
  else if (event.key === "m") more();
  else if (event.key === "o") openPhoto();
  else if (event.key === "ArrowRight" || event.key === "ArrowLeft") move(event.key === "ArrowRight" ? 1 : -1);
  else return;
  event.preventDefault();
}, { capture: true });

document.addEventListener("click", (event) => {
  const answer = event.target.closest(".answers [data-verb]"), past = event.target.closest("[data-undo]");
  if (answer) press(answer);
  else if (event.target.closest("[data-more]")) more();
  else if (event.target.closest(".undo-last")) takeBack();
  else if (past) takeBackPast(past);
});

// An answer of the list, also of an earlier review: its question may be asked again.
async function takeBackPast(button) {
  const done = await undo(Number(button.dataset.undo));
  if (!done) return;
  answered.delete(button.dataset.of);
  const at = given.findIndex((one) => one.id === button.dataset.of);
  if (at >= 0) given.splice(at, 1);
  say(done.said);
  if (document.activeElement === document.body) heading(article()).focus({ preventScroll: true });
  fill();
}

// Somebody else may have answered what is shown.
document.addEventListener("refreshed", fill);

ready(article());
if ("question" in article().dataset) history.replaceState(history.state, "", addressOf(idOf(article())));
if (article().dataset.gone || skipped.has(idOf(article()))) { show(waiting(), { isNew: false }); }
if (!("none" in article().dataset)) fill();
