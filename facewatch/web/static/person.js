// The pages of one person: faces that are not theirs, who they are, who looks like them.
import { act, api, fail, goTo, hold, isTaken, remember } from "./core.js";
import { askText, chooseReceiver, confirm } from "./choose.js";
import { Grid, facesOf, removing } from "./grid.js";
import { mergePeople } from "./merge.js";
import { rename } from "./rename.js";

const shown = () => document.getElementById("person").dataset;

// --- her faces ---

const grid = new Grid("grid");

grid.on("reject", (tiles) => act("/faces/reject", { faces: facesOf(tiles), person: Number(shown().person) }, { meanwhile: removing(tiles) }));
grid.on("confirm", (tiles) => act("/faces/confirm", { faces: facesOf(tiles) }));
grid.on("unassign", (tiles) => act("/faces/unassign", { faces: facesOf(tiles) }, { meanwhile: removing(tiles) }));
grid.on("ignore", (tiles) => act("/faces/ignore", { faces: facesOf(tiles) }, { meanwhile: removing(tiles) }));
grid.on("cover", ([tile]) => act(`/people/${shown().person}/cover`, { face: Number(tile.dataset.face) }));
grid.on("move", async (tiles) => {
  const who = await chooseReceiver(tiles.length, { without: Number(shown().person) });
  if (who === null) return;
  await act("/faces/assign", { faces: facesOf(tiles), ...who }, { meanwhile: removing(tiles) });
  grid.clear();
});
grid.key(["o"], (tile) => { location.href = tile.querySelector("a.tile-face").href; });

// --- how large they are ---

const SIZE = "face-size", size = document.getElementById("size");

function setSize(value) {
  const wanted = Math.min(320, Math.max(160, value));
  if (size) size.value = wanted;
  grid.element?.setAttribute("data-size", wanted);
  localStorage.setItem(SIZE, wanted);
}

if (size) {
  const restore = () => setSize(Number(localStorage.getItem(SIZE) ?? 180));
  size.addEventListener("input", () => setSize(Number(size.value)));
  document.addEventListener("refreshed", restore);
  document.addEventListener("keydown", (event) => {
    if (isTaken(event) || event.ctrlKey || event.metaKey) return;
    if (event.key === "+") setSize(Number(size.value) + 20);
    else if (event.key === "-") setSize(Number(size.value) - 20);
  });
  restore();
}

// --- who she is ---

function name() {
  const button = document.querySelector("[data-rename]"), { person } = shown();
  rename(button, Number(person), {
    isNamed: !button.classList.contains("unnamed"),
    show: (text) => {
      const before = button.textContent;
      button.textContent = text;
      return () => { button.textContent = before; };
    },
    onEnd: () => button.focus(),
    onMerge: follow,
  });
}

// Who is part of somebody else now has that one's page.
const follow = (kept, others) => { if (others.includes(Number(shown().person))) history.replaceState(history.state, "", `/person/${kept}`); };

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { person, label } = shown(), { dataset } = button;
  if ("rename" in dataset || "name" in dataset) name();
  else if ("hide" in dataset) act(`/people/${person}/${dataset.hide === "true" ? "show" : "hide"}`);
  else if ("merge" in dataset) mergePeople([Number(person), Number(dataset.merge)], follow);
  else if ("apart" in dataset) act(`/people/${person}/apart/${dataset.apart}`);
  else if ("confirm" in dataset) {
    if (await confirm("All faces are right?", `Every face here is ${label}, for good; no run takes one away.`, "All are right")) act(`/people/${person}/confirm`);
  } else if ("forget" in dataset) forget(person, label, Number(dataset.forget));
  else if ("born" in dataset) {
    const born = await askText(`When was ${label} born?`, { hint: "2012, 2012-05 or 2012-05-31: no older photo is matched. Empty: nobody knows." });
    if (born !== null) act(`/people/${person}/born`, { born: born || null });
  }
});

async function forget(person, label, n) {
  const text = `${label} is gone, with the folder of links. No photo is touched. The ${n === 1 ? "face stays" : `${n.toLocaleString("en")} faces stay`} with nobody, and no run compares them with anybody again.`;
  if (!await confirm(`Forget ${label}?`, text, "Forget")) return;
  // This page is gone before the answer comes.
  const release = hold();
  window.addEventListener("pagehide", release, { once: true });
  try {
    const done = await api(`/people/${person}/forget`, {});
    remember(done.entry_id);
    goTo("/", done);
  } catch (error) {
    release();
    fail(error);
  }
}

document.addEventListener("keydown", (event) => {
  if (isTaken(event) || !document.querySelector("[data-rename]")) return;
  if (event.key === "r" || event.key === "F2") { event.preventDefault(); name(); }
});
