// The page of everybody: search as one types, names given in place, people hidden.
import { act, debounced, hold, refresh } from "./core.js";
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
