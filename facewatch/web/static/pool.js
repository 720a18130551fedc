// Faces that belong to nobody: whose they are, or that they are nobody's; many at once.
import { act } from "./core.js";
import { chooseReceiver } from "./choose.js";
import { Grid, facesOf, removing } from "./grid.js";

const grid = new Grid("grid");

async function decide(path, tiles, body) {
  await act(path, { faces: facesOf(tiles), ...body }, { meanwhile: removing(tiles) });
  grid.clear();
}

grid.on("strangers", (tiles) => decide("/faces/unassign", tiles));
grid.on("ignore", (tiles) => decide("/faces/ignore", tiles));
grid.on("yes", async (tiles) => {
  for (const person of new Set(tiles.map((tile) => tile.dataset.guess))) {
    if (person) await decide("/faces/assign", tiles.filter((tile) => tile.dataset.guess === person), { person: Number(person) });
  }
});
grid.on("move", async (tiles) => {
  const who = await chooseReceiver(tiles.length);
  if (who) await decide("/faces/assign", tiles, who);
});
grid.key(["o"], (tile) => { location.href = tile.querySelector("a.tile-face").href; });

function selectGroup(heading) {
  const tiles = [];
  for (let next = heading.nextElementSibling; next && !("heading" in next.dataset); next = next.nextElementSibling) tiles.push(next);
  tiles.forEach((one) => grid.select(one));
  if (tiles.length) grid.focus(tiles[0]);
}

grid.key(["g"], (tile) => {
  let one = tile;
  while (one && !("heading" in one.dataset)) one = one.previousElementSibling;
  if (one) selectGroup(one);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-group]");
  if (button) selectGroup(button.closest("[data-heading]"));
});
