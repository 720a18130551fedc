// The proposed parts of somebody: faces go from part to part, then all of it is one decision.
import { api, fail, goTo, remember } from "./core.js";
import { Names } from "./names.js";

const split = document.getElementById("split");
const parts = () => [...split.querySelectorAll(".split-part")];
const who = new Map();

function count(part) {
  const n = part.querySelectorAll("[data-face]").length;
  part.querySelector("[data-count]").textContent = n === 1 ? "1 face" : `${n} faces`;
}

split?.addEventListener("click", (event) => {
  const face = event.target.closest(".split-face"), first = event.target.closest("[data-first]");
  if (face) {
    const all = parts(), from = face.closest(".split-part"), to = all[(all.indexOf(from) + 1) % all.length];
    to.querySelector(".split-faces").prepend(face);
    [from, to].forEach(count);
    face.focus();
  } else if (first) {
    // The faces change places: the first part is the one that stays.
    const mine = first.closest(".split-part").querySelector(".split-faces"), kept = parts()[0].querySelector(".split-faces");
    const faces = [...mine.children];
    mine.replaceChildren(...kept.children);
    kept.replaceChildren(...faces);
    parts().forEach(count);
  }
});

for (const part of split ? parts().slice(1) : []) {
  const input = part.querySelector("[data-name]");
  const names = new Names(input, { without: Number(split.dataset.person) });
  names.onPick = (row) => { who.set(part, row); input.value = row.name; };
  input.addEventListener("input", () => who.delete(part));
}

document.getElementById("apply")?.addEventListener("click", async () => {
  const wanted = parts().slice(1).map((part) => {
    const faces = [...part.querySelectorAll("[data-face]")].map((face) => Number(face.dataset.face));
    const text = part.querySelector("[data-name]").value.trim(), row = who.get(part);
    return { faces, person: row?.id ?? null, new_name: row?.id || !text ? null : text };
  }).filter((part) => part.faces.length);
  try {
    const done = await api(`/people/${split.dataset.person}/split`, { parts: wanted });
    remember(done.entry_id);
    goTo(`/person/${split.dataset.person}`, done);
  } catch (error) {
    fail(error);
  }
});
