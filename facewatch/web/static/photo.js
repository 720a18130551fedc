// The page of a photo: who is on it, boxes that can be drawn, a picture that can be enlarged.
import { act, api, element, fail, isTaken, own } from "./core.js";
import { choosePerson, receiver } from "./choose.js";
import { Drawing } from "./draw.js";
import { Zoom } from "./zoom.js";

const page = document.getElementById("photo"), frame = document.getElementById("frame");
const svg = () => document.getElementById("boxes");
const tool = (name) => document.querySelector(`[data-tool="${name}"]`);
const size = () => ({ width: Number(page.dataset.width) || 1, height: Number(page.dataset.height) || 1 });
const photo = page.dataset.photo;

const zoom = new Zoom(frame, document.getElementById("picture"), document.getElementById("labels"), size);
const drawing = new Drawing(page, svg, size, { status: document.getElementById("drawing"), button: () => tool("draw") });

own(page, { class: page.className });
own(tool("boxes"), { "aria-pressed": true });
own(tool("draw"), { "aria-pressed": false });

// --- the face that is chosen ---

let chosen = Number(page.dataset.chosen) || null;

const rows = () => [...document.querySelectorAll(".photo-faces li[data-face]")];
const rowOf = (face) => document.getElementById(`face${face}`);

function choose(face) {
  chosen = face;
  for (const one of document.querySelectorAll(".photo-faces li, .box, #labels span")) one.classList.toggle("chosen", face !== null && one.dataset.face === `${face}`);
}

// The one that is chosen, else the first.
function chosenRow() {
  const row = rowOf(chosen) ?? rows()[0] ?? null;
  if (row) choose(Number(row.dataset.face));
  return row;
}

function step(by) {
  const all = rows(), at = all.findIndex((row) => row.dataset.face === `${chosen}`);
  const row = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
  if (!row) return;
  row.querySelector('[data-do="name"]').focus();
  const box = document.querySelector(`#box${row.dataset.face} rect`);
  if (box) zoom.reveal(box.getBBox());
}

document.addEventListener("focusin", (event) => { const row = event.target.closest(".photo-faces li[data-face]"); if (row) choose(Number(row.dataset.face)); });
document.addEventListener("pointerover", (event) => {
  const over = event.target.closest("[data-face]")?.dataset.face;
  for (const one of document.querySelectorAll(".box, #labels span")) one.classList.toggle("hovered", one.dataset.face === over);
});

// --- what is said of a face ---

// Who a face is, or what else it may be.
async function ask(row) {
  const { person, label, mark } = row.dataset, others = [];
  if (person && !("confirmed" in row.dataset)) others.push({ value: "confirm", label: `It is ${label}` });
  if (person) others.push({ value: "reject", label: `Not ${label}` });
  else if (!mark) others.push({ value: "unassign", label: "Nobody I know" });
  if (!mark) others.push({ value: "ignore", label: "Not a face" });
  const who = await choosePerson("Who is this?", { withUnnamed: true, face: row.dataset.face, others });
  if (who?.other) await work[who.other](row);
  else if (who) await act("/faces/assign", { faces: [Number(row.dataset.face)], ...receiver(who) });
}

const work = {
  name: ask,
  reject: (row) => row.dataset.person && act("/faces/reject", { faces: [Number(row.dataset.face)], person: Number(row.dataset.person) }),
  confirm: (row) => row.dataset.person && act("/faces/confirm", { faces: [Number(row.dataset.face)] }),
  unassign: (row) => act("/faces/unassign", { faces: [Number(row.dataset.face)] }),
  ignore: (row) => act("/faces/ignore", { faces: [Number(row.dataset.face)] }),
  absent: (row) => act(`/photos/${photo}/absent/${row.dataset.present}`),
  async why(row) {
    const place = row.querySelector(".photo-why");
    own(row.querySelector('[data-do="why"]'), { "aria-expanded": place.hidden });
    if (place.hidden) await explain(row); else place.hidden = true;
  },
};

async function explain(row) {
  const place = row.querySelector(".photo-why");
  try {
    const { lines } = await api(`/faces/${row.dataset.face}/why`);
    place.replaceChildren(...lines.map((line) => element("p", { textContent: line })));
    place.hidden = false;
  } catch (error) { place.hidden = true; fail(error); }
}

async function somebodyPresent() {
  const who = await choosePerson("Who is in it without a face?", { withUnnamed: true });
  if (who) await act(`/photos/${photo}/present`, receiver(who));
}

// --- a face that was missed ---

drawing.onEnd = async (box) => {
  const others = [{ value: "nobody", label: "I do not know yet" }];
  const who = await choosePerson("Whose face is this?", { withUnnamed: true, others });
  if (!who) return;
  drawing.wait("Adding the face…");
  // Where it is refused, the box stays, to be drawn better.
  if (await act(`/photos/${photo}/faces`, { ...box, ...(who.other ? {} : receiver(who)) })) drawing.stop(); else drawing.wait("");
};

// --- the pointer draws, moves the enlarged picture, or chooses a face ---

zoom.onDrag = (from, to) => drawing.drag(from, to);
zoom.onDrop = (isMoved, event) => {
  if (drawing.isOn) { if (isMoved) drawing.end(); return; }
  const box = isMoved ? null : document.elementsFromPoint(event.clientX, event.clientY).map((one) => one.closest?.(".box[data-face]")).find(Boolean);
  if (!box) return;
  choose(Number(box.dataset.face));
  ask(rowOf(box.dataset.face));
};

// --- buttons and keys ---

const tools = {
  in: () => zoom.zoom(1.4),
  out: () => zoom.zoom(1 / 1.4),
  whole: () => zoom.whole(),
  boxes() { tool("boxes").setAttribute("aria-pressed", !page.classList.toggle("unboxed")); },
  draw: () => (drawing.isOn ? drawing.stop() : drawing.start()),
  present: somebodyPresent,
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-tool], #photo [data-do]");
  if (button?.dataset.tool) tools[button.dataset.tool]();
  else if (button) work[button.dataset.do](button.closest("li"));
});

const KEYS = { "+": "in", "-": "out", 0: "whole", h: "boxes", b: "draw", p: "present" };
const FACE_KEYS = { r: "name", F2: "name", x: "reject", c: "confirm", s: "unassign", n: "ignore", w: "why" };
const WAYS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

function arrow(key) {
  if (zoom.isLarger) zoom.move(...WAYS[key]);
  else if (key === "ArrowUp" || key === "ArrowDown") step(key === "ArrowUp" ? -1 : 1);
  else document.getElementById(key === "ArrowLeft" ? "before" : "behind")?.click();
}

document.addEventListener("keydown", (event) => {
  if (isTaken(event) || event.ctrlKey || event.metaKey) return;
  if (drawing.key(event)) { /* done */ } else if (KEYS[event.key]) tools[KEYS[event.key]]();
  else if (WAYS[event.key] && !event.shiftKey) arrow(event.key);
  else if (FACE_KEYS[event.key]) { const row = chosenRow(); if (row) work[FACE_KEYS[event.key]](row); }
  else return;
  event.preventDefault();
});

document.addEventListener("refreshed", () => {
  // What was said why is not so any more.
  for (const row of rows()) if (!row.querySelector(".photo-why").hidden) explain(row);
  zoom.place();
  drawing.show();
  choose(chosen);
});

choose(chosen);
// On a phone the faces stand below the photo, which is to be seen first.
if (!matchMedia("(max-width: 900px)").matches) rowOf(chosen)?.scrollIntoView({ block: "nearest" });
// The next photo is there when it is asked for.
const behind = document.getElementById("behind")?.pathname.split("/").at(-1);
if (behind) frame.querySelector("img").addEventListener("load", () => { new Image().src = `/media/photo/${behind}/large`; }, { once: true });
