// The page of everybody: search as one types, names given in place, people hidden.
import { act, debounced, searchFor } from "./core.js";
import { Grid, removing } from "./grid.js";
import { chooseOthers, mergePeople } from "./merge.js";
import { rename } from "./rename.js";

const grid = new Grid("grid");

// --- search ---

// It comes with the first faces, and goes with the last.
const isField = (element) => element.matches?.('.find input[type="search"]') ?? false;

const search = debounced((field) => searchFor(field.value), 60);

document.addEventListener("input", (event) => { if (isField(event.target)) search(event.target); });

document.addEventListener("keydown", (event) => {
  const first = grid.tiles()[0];
  if (isField(event.target) && first && (event.key === "Enter" || event.key === "ArrowDown")) { event.preventDefault(); grid.focus(first); }
});

// --- names ---

const personOf = (tile) => Number(tile.dataset.person);
const nameOf = (tile) => tile.querySelector(".tile-name");
const isNamed = (tile) => "named" in tile.dataset;
const tileOf = (person) => document.getElementById(`p${person}`);

function name(tile) {
  const button = nameOf(tile);
  rename(button, personOf(tile), {
    isNamed: isNamed(tile),
    show: (text) => {
      const before = button.cloneNode(true);
      button.textContent = text;
      button.classList.remove("unnamed");
      tile.dataset.named = "";
      return () => { button.replaceWith(before); before.hidden = false; if (before.classList.contains("unnamed")) delete tile.dataset.named; };
    },
    onTab: (step) => {
      const tiles = grid.tiles(), next = tiles.filter((one, i) => !isNamed(one) && (step > 0 ? i > tiles.indexOf(tile) : i < tiles.indexOf(tile))).at(step > 0 ? 0 : -1);
      grid.focus(next ?? tile);
      if (next) name(next);
    },
    onEnd: () => grid.focus(tile),
    onMerge: removeMerged,
  });
}

grid.key(["r", "F2"], name);

document.addEventListener("click", (event) => {
  const tile = event.target.closest("#grid .tile-name")?.closest(".tile");
  if (tile) name(tile);
});

// --- hide ---

for (const action of ["hide", "show"]) grid.on(action, (tiles) => {
  grid.clear();
  act(`/people/${action}`, { people: tiles.map(personOf) }, { meanwhile: removing(tiles) });
});

// --- merge: several that are selected, one that is dragged onto another, or one with those who look like it ---

function removeMerged(kept, others) {
  grid.clear();
  others.forEach((one) => tileOf(one)?.remove());
}

async function merge(tiles) {
  let people = tiles.map(personOf);
  if (people.length === 1) people = [...people, ...await chooseOthers(people[0])];
  if (people.length > 1) await mergePeople(people, removeMerged);
}

grid.on("merge", merge);

let dragged = [];
const tileAt = (event) => event.target.closest?.("#grid .tile") ?? null;

document.addEventListener("dragstart", (event) => {
  const tile = tileAt(event);
  if (tile === null) return;
  const selected = grid.selected();
  dragged = selected.includes(tile) ? selected : [tile];
  event.dataTransfer.effectAllowed = "link";
  event.dataTransfer.setData("text/plain", nameOf(tile).textContent);
  const picture = tile.querySelector(".face");
  event.dataTransfer.setDragImage(picture, picture.clientWidth / 2, picture.clientHeight / 2);
  dragged.forEach((one) => one.classList.add("dragged"));
});
document.addEventListener("dragover", (event) => {
  const tile = tileAt(event);
  document.querySelectorAll(".tile.target").forEach((one) => one !== tile && one.classList.remove("target"));
  if (!dragged.length || tile === null || dragged.includes(tile)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "link";
  tile.classList.add("target");
});
document.addEventListener("drop", (event) => {
  const tile = tileAt(event);
  if (!dragged.length || tile === null || dragged.includes(tile)) return;
  event.preventDefault();
  merge([tile, ...dragged]);
});
document.addEventListener("dragend", () => {
  dragged = [];
  document.querySelectorAll(".tile.target, .tile.dragged").forEach((one) => one.classList.remove("target", "dragged"));
});
