// The map of faces: points on a canvas, enlarged and moved by pointer, touch and keyboard.
import { api, fail, refresh } from "./core.js";

const holder = () => document.getElementById("map");
const canvas = document.getElementById("canvas"), hover = document.getElementById("hover");
const pen = canvas.getContext("2d");
const MOST_SCALE = 400, NEAR_PX = 14;

let points = null, people = new Map(), order = [], loaded = -1;
let scale = 1, x0 = 0, y0 = 0, chosen = null, pending = false;

async function load() {
  const { dataset } = holder();
  if (dataset.ready !== "true" || Number(dataset.n) === loaded) return;
  loaded = Number(dataset.n);
  try {
    const [row, response] = await Promise.all([api("/map"), fetch("/api/v1/map/points")]);
    const bytes = await response.arrayBuffer(), floats = new Float32Array(bytes), whole = new Uint32Array(bytes), n = bytes.byteLength / 16;
    points = { n, x: new Float32Array(n), y: new Float32Array(n), face: new Uint32Array(n), person: new Uint32Array(n) };
    for (let i = 0; i < n; i++) {
      points.x[i] = floats[4 * i]; points.y[i] = floats[4 * i + 1];
      points.face[i] = whole[4 * i + 2]; points.person[i] = whole[4 * i + 3];
    }
    people = new Map(row.people.map((one) => [one.person_id, one]));
    // Colour by colour, so that the canvas changes it seldom; those of nobody lie below.
    order = [...Array(n).keys()].sort((a, b) => rank(points.person[a]) - rank(points.person[b]) || points.person[a] - points.person[b]);
    showWhole();
  } catch (error) { fail(error); }
}

const rank = (person) => (person === 0 ? 0 : people.get(person)?.is_named ? 2 : 1);
const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

function colourOf(person) {
  if (person === 0) return isDark() ? "#55555c" : "#c4c4c0";
  const hue = (person * 137.508) % 360;
  return people.get(person)?.is_named ? `hsl(${hue} 70% ${isDark() ? 65 : 45}%)` : `hsl(${hue} 25% ${isDark() ? 55 : 62}%)`;
}

function showWhole() {
  if (!points?.n) return;
  let [low, high, left, right] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < points.n; i++) {
    left = Math.min(left, points.x[i]); right = Math.max(right, points.x[i]);
    low = Math.min(low, points.y[i]); high = Math.max(high, points.y[i]);
  }
  const { clientWidth: w, clientHeight: h } = canvas;
  scale = 0.92 * Math.min(w / Math.max(1e-6, right - left), h / Math.max(1e-6, high - low));
  x0 = w / 2 - (scale * (left + right)) / 2;
  y0 = h / 2 - (scale * (low + high)) / 2;
  draw();
}

function draw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; paint(); });
}

function paint() {
  const dense = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * dense)) { canvas.width = Math.round(w * dense); canvas.height = Math.round(h * dense); }
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  pen.clearRect(0, 0, w, h);
  if (!points) return;
  const least = points.n < 3000 ? 6 : points.n < 20000 ? 3 : 1.5, side = Math.max(least, Math.min(9, scale / 4)), half = side / 2;
  let person = -1;
  for (const i of order) {
    const x = points.x[i] * scale + x0, y = points.y[i] * scale + y0;
    if (x < -side || y < -side || x > w + side || y > h + side) continue;
    if (points.person[i] !== person) {
      person = points.person[i];
      pen.fillStyle = colourOf(person);
      pen.globalAlpha = chosen !== null && person !== chosen ? 0.15 : 1;
    }
    pen.fillRect(x - half, y - half, side, side);
  }
  pen.globalAlpha = 1;
  label(w, h);
}

function label(w, h) {
  pen.font = "600 12px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.lineWidth = 3;
  pen.strokeStyle = isDark() ? "#1d1d20" : "#ffffff";
  pen.fillStyle = isDark() ? "#ececee" : "#1c1c1e";
  const taken = [];
  for (const one of people.values()) {
    if (!one.is_named && one.person_id !== chosen && scale < 20) continue;
    const x = one.x * scale + x0, y = one.y * scale + y0 - 10, wide = 7 * one.label.length;
    if (x < 0 || y < 0 || x > w || y > h || taken.some(([a, b, c]) => Math.abs(a - x) < (c + wide) / 2 && Math.abs(b - y) < 15)) continue;
    taken.push([x, y, wide]);
    pen.strokeText(one.label, x, y);
    pen.fillText(one.label, x, y);
  }
}

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const wanted = Math.min(MOST_SCALE, scale * factor), ratio = wanted / scale;
  x0 = x - (x - x0) * ratio;
  y0 = y - (y - y0) * ratio;
  scale = wanted;
  draw();
}

function nearestTo(x, y) {
  let best = null, least = NEAR_PX ** 2;
  for (let i = 0; i < (points?.n ?? 0); i++) {
    const away = (points.x[i] * scale + x0 - x) ** 2 + (points.y[i] * scale + y0 - y) ** 2;
    if (away < least) { least = away; best = i; }
  }
  return best;
}

function show(i, x, y) {
  hover.hidden = i === null;
  if (i === null) return;
  const source = `/media/face/${points.face[i]}`, image = hover.querySelector("img");
  if (image.getAttribute("src") !== source) image.src = source;
  hover.querySelector("span").textContent = people.get(points.person[i])?.label ?? (points.person[i] ? `Person ${points.person[i]}` : "nobody yet");
  hover.style.left = `${Math.min(x + 14, canvas.clientWidth - 130)}px`;
  hover.style.top = `${Math.min(y + 14, canvas.clientHeight - 160)}px`;
}

const open = (i) => { if (i !== null) location.href = `/face/${points.face[i]}`; };

// --- pointers: one moves, two enlarge ---

const pressed = new Map();
let isMoved = false, apart = 0;

canvas.addEventListener("pointerdown", (event) => { pressed.set(event.pointerId, event); isMoved = false; apart = 0; canvas.setPointerCapture(event.pointerId); });
canvas.addEventListener("pointermove", (event) => {
  const before = pressed.get(event.pointerId);
  if (!before) { show(nearestTo(event.offsetX, event.offsetY), event.offsetX, event.offsetY); return; }
  pressed.set(event.pointerId, event);
  if (pressed.size === 2) {
    const [a, b] = [...pressed.values()], now = Math.hypot(a.offsetX - b.offsetX, a.offsetY - b.offsetY);
    if (apart) zoom(now / apart, (a.offsetX + b.offsetX) / 2, (a.offsetY + b.offsetY) / 2);
    apart = now;
    isMoved = true;
  } else {
    const dx = event.offsetX - before.offsetX, dy = event.offsetY - before.offsetY;
    isMoved ||= Math.hypot(dx, dy) > 3;
    x0 += dx; y0 += dy;
    hover.hidden = true;
    draw();
  }
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => {
  const was = pressed.delete(event.pointerId);
  if (was && name === "pointerup" && !isMoved && !pressed.size) open(nearestTo(event.offsetX, event.offsetY));
});
canvas.addEventListener("pointerleave", () => { hover.hidden = true; });
canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.25 : 0.8, event.offsetX, event.offsetY); }, { passive: false });

const STEPS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
canvas.addEventListener("keydown", (event) => {
  const [w, h] = [canvas.clientWidth / 2, canvas.clientHeight / 2];
  if (STEPS[event.key]) { x0 += STEPS[event.key][0]; y0 += STEPS[event.key][1]; draw(); show(nearestTo(w, h), w, h); }
  else if (event.key === "+") zoom(1.4);
  else if (event.key === "-") zoom(1 / 1.4);
  else if (event.key === "0") showWhole();
  else if (event.key === "Enter") open(nearestTo(w, h));
  else return;
  event.preventDefault();
});

document.addEventListener("input", (event) => {
  if (event.target.id !== "find") return;
  const wanted = event.target.value.trim().toLowerCase();
  const found = wanted && [...people.values()].find((one) => one.label.toLowerCase().startsWith(wanted));
  chosen = found ? found.person_id : null;
  if (found) {
    scale = Math.max(scale, 12);
    x0 = canvas.clientWidth / 2 - found.x * scale;
    y0 = canvas.clientHeight / 2 - found.y * scale;
  }
  draw();
});
document.addEventListener("submit", (event) => { if (event.target.matches(".find")) event.preventDefault(); });

document.addEventListener("click", async (event) => {
  if (event.target.id !== "renew") return;
  try { loaded = -1; await api("/map", {}); await refresh(); } catch (error) { fail(error); }
});
document.addEventListener("refreshed", load);
new ResizeObserver(draw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
load();
