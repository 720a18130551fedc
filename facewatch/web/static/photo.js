// The page of a photo: who is on it, boxes that can be drawn, a picture that can be enlarged.
import { act, api, debounced, fail } from "./core.js";
import { choosePerson } from "./choose.js";

const page = () => document.getElementById("photo");
const frame = document.getElementById("frame"), picture = document.getElementById("picture");
const svg = () => document.getElementById("boxes");
const size = () => ({ width: Number(page().dataset.width) || 1, height: Number(page().dataset.height) || 1 });

// --- zoom: the picture, its boxes and its names go together ---

let scale = 1, left = 0, top = 0;

function place() {
  const { width, height } = size(), fit = Math.min(frame.clientWidth / width, frame.clientHeight / height);
  if (!fit) return;
  const wide = width * fit, high = height * fit;
  Object.assign(picture.style, { width: `${wide}px`, height: `${high}px` });
  const x = picture.offsetLeft, y = picture.offsetTop;
  left = Math.min(0, Math.max(left, wide * (1 - scale)));
  top = Math.min(0, Math.max(top, high * (1 - scale)));
  const move = `translate(${left}px, ${top}px) scale(${scale})`;
  picture.style.transform = move;
  const boxes = svg();
  Object.assign(boxes.style, { left: `${x}px`, top: `${y}px`, width: `${wide}px`, height: `${high}px`, transform: move });
  for (const label of document.querySelectorAll("#labels span")) {
    const [across, down] = label.dataset.at.split(" ").map(Number);
    label.style.left = `${x + left + (across / 100) * wide * scale}px`;
    label.style.top = `${y + top + (down / 100) * high * scale}px`;
  }
}

function zoom(factor, at = { x: picture.clientWidth / 2, y: picture.clientHeight / 2 }) {
  const wanted = Math.min(12, Math.max(1, scale * factor));
  left = at.x - ((at.x - left) * wanted) / scale;
  top = at.y - ((at.y - top) * wanted) / scale;
  scale = wanted;
  place();
}

const pointIn = (event) => { const area = frame.getBoundingClientRect(); return { x: event.clientX - area.left - picture.offsetLeft, y: event.clientY - area.top - picture.offsetTop }; };
const inPhoto = (event) => { const { x, y } = pointIn(event); return { x: ((x - left) / scale / picture.clientWidth) * size().width, y: ((y - top) / scale / picture.clientHeight) * size().height }; };

frame.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, pointIn(event)); }, { passive: false });
picture.addEventListener("load", place);
window.addEventListener("resize", debounced(place, 50));
document.addEventListener("refreshed", () => { place(); choose(chosen); });

// --- the face that is chosen ---

let chosen = Number(page().dataset.chosen) || null;

function choose(face) {
  chosen = face;
  for (const one of document.querySelectorAll(".photo-faces li, .box")) one.classList.toggle("chosen", face !== null && one.dataset.face === `${face}`);
}

const rowOf = (face) => document.getElementById(`face${face}`);

document.addEventListener("focusin", (event) => { const row = event.target.closest(".photo-faces li[data-face]"); if (row) choose(Number(row.dataset.face)); });

const work = {
  async name(row) {
    const face = Number(row.dataset.face);
    const who = await choosePerson("Who is this?", { withUnnamed: true });
    if (who) await act("/faces/assign", who.id === null ? { faces: [face], new_name: who.name } : { faces: [face], person: who.id });
  },
  reject: (row) => row.dataset.person && act("/faces/reject", { faces: [Number(row.dataset.face)], person: Number(row.dataset.person) }),
  confirm: (row) => act("/faces/confirm", { faces: [Number(row.dataset.face)] }),
  unassign: (row) => act("/faces/unassign", { faces: [Number(row.dataset.face)] }),
  ignore: (row) => act("/faces/ignore", { faces: [Number(row.dataset.face)] }),
  absent: (row) => act(`/photos/${page().dataset.photo}/absent/${row.dataset.present}`),
  async why(row) {
    const place = row.querySelector(".photo-why"), button = row.querySelector('[data-do="why"]');
    place.hidden = !place.hidden;
    button.setAttribute("aria-expanded", !place.hidden);
    if (place.hidden) return;
    try {
      const { lines } = await api(`/faces/${row.dataset.face}/why`);
      place.replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
    } catch (error) { place.hidden = true; fail(error); }
  },
};

async function somebodyPresent() {
  const who = await choosePerson("Who is in it without a face?", { withUnnamed: true });
  if (who) await act(`/photos/${page().dataset.photo}/present`, who.id === null ? { new_name: who.name } : { person: who.id });
}

// --- a box round a face that was missed ---

let drawn = null, isDrawing = false;

function setDrawing(is) {
  isDrawing = is;
  page().classList.toggle("drawing", is);
  document.querySelector('[data-tool="draw"]').setAttribute("aria-pressed", is);
  if (!is) { drawn = null; }
  showDrawn();
}

function showDrawn() {
  svg().querySelector(".drawn")?.remove();
  if (!drawn) return;
  const group = document.createElementNS("http://www.w3.org/2000/svg", "g"), rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  group.setAttribute("class", "box drawn");
  for (const [name, value] of [["x", drawn.x], ["y", drawn.y], ["width", drawn.w], ["height", drawn.h]]) rect.setAttribute(name, value);
  group.append(rect);
  svg().append(group);
}

async function endDrawing() {
  if (!drawn) return;
  const box = Object.fromEntries(Object.entries(drawn).map(([name, value]) => [name, Math.round(value)]));
  const who = await choosePerson("Whose face is this?", { withUnnamed: true, newLabel: (text) => `New person “${text}”` });
  if (!who) { setDrawing(false); return; }
  setDrawing(false);
  await act(`/photos/${page().dataset.photo}/faces`, who.id === null ? { ...box, new_name: who.name } : { ...box, person: who.id });
}

function startDrawing() {
  if (isDrawing) { setDrawing(false); return; }
  setDrawing(true);
  const { width, height } = size(), side = Math.min(width, height) / 6;
  drawn = { x: width / 2 - side / 2, y: height / 2 - side / 2, w: side, h: side };
  showDrawn();
}

// --- the pointer: it draws, moves the enlarged picture, or chooses a face ---

let press = null;

frame.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  press = { from: pointIn(event), at: inPhoto(event), left, top, isMoved: false };
  frame.setPointerCapture(event.pointerId);
});
frame.addEventListener("pointermove", (event) => {
  if (!press) return;
  const here = pointIn(event);
  press.isMoved ||= Math.hypot(here.x - press.from.x, here.y - press.from.y) > 5;
  if (!press.isMoved) return;
  if (isDrawing) {
    const to = inPhoto(event);
    drawn = { x: Math.min(press.at.x, to.x), y: Math.min(press.at.y, to.y), w: Math.abs(to.x - press.at.x), h: Math.abs(to.y - press.at.y) };
    showDrawn();
  } else {
    left = press.left + here.x - press.from.x;
    top = press.top + here.y - press.from.y;
    place();
  }
});
frame.addEventListener("pointerup", (event) => {
  const was = press;
  press = null;
  if (!was) return;
  if (isDrawing && was.isMoved) { endDrawing(); return; }
  const box = document.elementsFromPoint(event.clientX, event.clientY).map((one) => one.closest?.(".box[data-face]")).find(Boolean);
  if (!was.isMoved && box && !isDrawing) {
    const row = rowOf(box.dataset.face);
    choose(Number(box.dataset.face));
    row.scrollIntoView({ block: "nearest" });
    work.name(row);
  }
});
frame.addEventListener("dblclick", (event) => zoom(scale > 1 ? 1 / scale : 2.5, pointIn(event)));

// --- buttons and keys ---

const tools = {
  in: () => zoom(1.4),
  out: () => zoom(1 / 1.4),
  whole: () => zoom(1 / scale),
  boxes() {
    const isOff = page().classList.toggle("unboxed");
    document.querySelector('[data-tool="boxes"]').setAttribute("aria-pressed", !isOff);
  },
  draw: startDrawing,
  present: somebodyPresent,
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-tool], [data-do]");
  if (!button) return;
  if (button.dataset.tool) tools[button.dataset.tool]();
  else work[button.dataset.do](button.closest("li"));
});

const KEYS = { "+": "in", "-": "out", 0: "whole", h: "boxes", b: "draw", p: "present" };
const FACE_KEYS = { r: "name", x: "reject", c: "confirm", n: "ignore", w: "why" };

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches?.("input, textarea, select")) return;
  const row = chosen !== null ? rowOf(chosen) : null;
  if (isDrawing && moveDrawn(event)) event.preventDefault();
  else if (KEYS[event.key]) { event.preventDefault(); tools[KEYS[event.key]](); }
  else if (FACE_KEYS[event.key] && row) { event.preventDefault(); work[FACE_KEYS[event.key]](row); }
  else if (event.key === "ArrowLeft") document.getElementById("before")?.click();
  else if (event.key === "ArrowRight") document.getElementById("behind")?.click();
});

// Arrows move the box, with Shift they size it; returns whether the key was one of these.
function moveDrawn(event) {
  const step = Math.max(1, Math.min(size().width, size().height) / 60);
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (event.key === "Escape") setDrawing(false);
  else if (event.key === "Enter") endDrawing();
  else if (moves && drawn) {
    if (event.shiftKey) { drawn.w = Math.max(step, drawn.w + moves[0]); drawn.h = Math.max(step, drawn.h + moves[1]); }
    else { drawn.x += moves[0]; drawn.y += moves[1]; }
    showDrawn();
  } else return false;
  return true;
}

place();
choose(chosen);
if (chosen) rowOf(chosen)?.scrollIntoView({ block: "nearest" });
