// The pages of one person: faces that are not theirs, who they are, who looks like them.
import { act, api, fail, hold } from "./core.js";
import { askText, choosePerson, confirm, confirmMerge } from "./choose.js";
import { Grid } from "./grid.js";
import { Names } from "./names.js";

const shown = () => document.getElementById("person").dataset;
const faces = (tiles) => tiles.map((tile) => Number(tile.dataset.face));
const gone = (tiles) => () => tiles.forEach((tile) => tile.remove());

// --- her faces ---

const grid = new Grid("grid");

grid.on("reject", (tiles) => act("/faces/reject", { faces: faces(tiles), person: Number(shown().person) }, { meanwhile: gone(tiles) }));
grid.on("confirm", (tiles) => act("/faces/confirm", { faces: faces(tiles) }));
grid.on("unassign", (tiles) => act("/faces/unassign", { faces: faces(tiles) }, { meanwhile: gone(tiles) }));
grid.on("ignore", (tiles) => act("/faces/ignore", { faces: faces(tiles) }, { meanwhile: gone(tiles) }));
grid.on("cover", ([tile]) => act(`/people/${shown().person}/cover`, { face: Number(tile.dataset.face) }));
grid.on("move", async (tiles) => {
  const wanted = faces(tiles);
  const who = await choosePerson(wanted.length === 1 ? "Who is this?" : `Who are these ${wanted.length} faces?`, { without: Number(shown().person), withUnnamed: true });
  if (who === null) return;
  await act("/faces/assign", who.id === null ? { faces: wanted, new_name: who.name } : { faces: wanted, person: who.id }, { meanwhile: gone(tiles) });
  grid.clear();
});
grid.key(["o"], (tile) => { location.href = tile.querySelector("a.tile-face").href; });

// --- how large they are ---

const SIZE = "face-size", size = document.getElementById("size");

function setSize(value) {
  const wanted = Math.min(320, Math.max(120, value));
  if (size) size.value = wanted;
  grid.element?.setAttribute("data-size", wanted);
  localStorage.setItem(SIZE, wanted);
}

if (size) {
  const restore = () => setSize(Number(localStorage.getItem(SIZE) ?? 180));
  size.addEventListener("input", () => setSize(Number(size.value)));
  document.addEventListener("refreshed", restore);
  document.addEventListener("keydown", (event) => {
    if (event.target.matches?.("input, textarea, select") || event.ctrlKey || event.metaKey) return;
    if (event.key === "+") setSize(Number(size.value) + 20);
    else if (event.key === "-") setSize(Number(size.value) - 20);
  });
  restore();
}

// --- who she is ---

function rename() {
  const button = document.querySelector("[data-rename]"), release = hold(), { person, label } = shown();
  const form = document.createElement("form"), input = document.createElement("input");
  form.className = "person-form";
  input.type = "text";
  input.setAttribute("aria-label", `Name of ${label}`);
  input.value = button.classList.contains("unnamed") ? "" : label;
  form.append(input);
  button.hidden = true;
  button.after(form);
  const names = new Names(input, { without: Number(person), newLabel: (text) => `Name “${text}”` });
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    names.destroy();
    form.remove();
    button.hidden = false;
    release();
    button.focus();
  };
  names.onPick = async (row) => {
    end();
    if (row.id !== null) { await mergeWith(row.id); return; }
    act(`/people/${person}/name`, { name: row.name }, { meanwhile: () => { button.textContent = row.name; button.classList.remove("unnamed"); } });
  };
  names.onLeave = end;
  input.addEventListener("blur", end);
  input.focus();
  input.select();
}

async function facts(id) {
  const one = await api(`/people/${id}`);
  return { id: one.id, label: one.label, cover: one.cover_id ? `/media/face/${one.cover_id}` : null, isNamed: one.is_named };
}

async function mergeWith(other) {
  try {
    const both = await Promise.all([facts(shown().person), facts(other)]);
    const kept = await confirmMerge(both);
    if (kept === null) return;
    const merged = both.filter((one) => one.id !== kept).map((one) => one.id);
    const done = await act(`/people/${kept}/merge`, { people: merged });
    if (done && kept !== Number(shown().person)) location.href = `/person/${kept}`;
  } catch (error) {
    fail(error);
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { person, label } = shown(), { dataset } = button;
  if ("rename" in dataset) rename();
  else if ("hide" in dataset) act(`/people/${person}/${dataset.hide === "true" ? "show" : "hide"}`);
  else if ("merge" in dataset) mergeWith(Number(dataset.merge));
  else if ("apart" in dataset) act(`/people/${person}/apart/${dataset.apart}`);
  else if ("confirm" in dataset) {
    if (await confirm("All faces are right?", `Every face here is ${label}, for good; no run takes one away.`, "All are right")) act(`/people/${person}/confirm`);
  } else if ("born" in dataset) {
    const born = await askText(`When was ${label} born?`, { hint: "2012, 2012-05 or 2012-05-31: no older photo is matched. Empty: nobody knows." });
    if (born !== null) act(`/people/${person}/born`, { born: born || null });
  }
});

document.addEventListener("keydown", (event) => {
  if (event.target.matches?.("input, textarea, select") || document.querySelector("dialog[open]") || !document.querySelector("[data-rename]")) return;
  if (event.key === "r" || event.key === "F2") { event.preventDefault(); rename(); }
});
