// The page of everybody: search as one types, names given in place, people hidden.
import { act, debounced, hold, refresh } from "./core.js";
import { confirmMerge } from "./choose.js";
import { Grid } from "./grid.js";
import { Names } from "./names.js";

const grid = new Grid("grid");

// --- search ---

const field = document.querySelector('.find input[type="search"]');

field.addEventListener("input", debounced(async () => {
  const url = new URL(location.href);
  if (field.value) url.searchParams.set("q", field.value); else url.searchParams.delete("q");
  for (const name of ["page", "upto"]) url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
  await refresh();
}, 60));

field.addEventListener("keydown", (event) => {
  const first = grid.tiles()[0];
  if (first && (event.key === "Enter" || event.key === "ArrowDown")) { event.preventDefault(); grid.focus(first); }
});

// --- names ---

const nameOf = (tile) => tile.querySelector(".tile-name");

function rename(tile) {
  const button = nameOf(tile), release = hold();
  const form = document.createElement("form");
  form.className = "tile-form";
  const input = document.createElement("input");
  input.type = "text";
  input.setAttribute("aria-label", `Name of ${button.textContent}`);
  input.value = "named" in tile.dataset ? button.textContent : "";
  form.append(input);
  button.hidden = true;
  button.after(form);
  const names = new Names(input, { without: tile.dataset.person });
  let isOver = false;
  const end = (isToTile) => {
    if (isOver) return;
    isOver = true;
    names.destroy();
    form.remove();
    button.hidden = false;
    if (isToTile) grid.focus(tile);
    release();
  };
  names.onPick = ({ name }) => { end(true); give(tile, name); };
  names.onLeave = () => end(true);
  input.addEventListener("blur", () => end(false));
  input.focus();
  input.select();
}

function give(tile, name) {
  const button = nameOf(tile);
  if (name === button.textContent) return;
  act(`/people/${tile.dataset.person}/name`, { name }, {
    meanwhile: () => { button.textContent = name; button.classList.remove("unnamed"); },
  });
}

grid.key(["r", "F2"], rename);

document.addEventListener("click", (event) => {
  const tile = event.target.closest("#grid .tile-name")?.closest(".tile");
  if (tile) rename(tile);
});

// --- hide ---

grid.on("hide", async (tiles) => {
  for (const tile of tiles) await act(`/people/${tile.dataset.person}/hide`, {}, { meanwhile: () => tile.remove() });
});

// --- merge: several selected, or one dragged onto another ---

const described = (tile) => ({
  id: Number(tile.dataset.person),
  label: nameOf(tile).textContent,
  cover: tile.querySelector("img.face")?.getAttribute("src") ?? null,
  isNamed: "named" in tile.dataset,
});

async function merge(tiles) {
  const people = tiles.map(described), kept = await confirmMerge(people);
  if (kept === null) return;
  grid.clear();
  const merged = tiles.filter((tile) => Number(tile.dataset.person) !== kept);
  await act(`/people/${kept}/merge`, { people: merged.map((tile) => Number(tile.dataset.person)) }, { meanwhile: () => merged.forEach((tile) => tile.remove()) });
}

grid.on("merge", merge);

let dragged = null;
const tileAt = (event) => event.target.closest?.("#grid .tile");

document.addEventListener("dragstart", (event) => {
  dragged = tileAt(event);
  if (dragged === null) return;
  event.dataTransfer.effectAllowed = "link";
  event.dataTransfer.setData("text/plain", nameOf(dragged).textContent);
  dragged.classList.add("dragged");
});
document.addEventListener("dragover", (event) => {
  const tile = tileAt(event);
  document.querySelectorAll(".tile.target").forEach((one) => one !== tile && one.classList.remove("target"));
  if (dragged === null || !tile || tile === dragged) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "link";
  tile.classList.add("target");
});
document.addEventListener("drop", (event) => {
  const tile = tileAt(event), from = dragged;
  if (from === null || !tile || tile === from) return;
  event.preventDefault();
  const selected = grid.selected();
  merge([tile, ...(selected.includes(from) ? selected.filter((one) => one !== tile) : [from])]);
});
document.addEventListener("dragend", () => {
  dragged = null;
  document.querySelectorAll(".tile.target, .tile.dragged").forEach((one) => one.classList.remove("target", "dragged"));
});
