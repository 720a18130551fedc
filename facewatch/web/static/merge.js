// Several people that are one: asked for beside their faces, then merged.
import { act, openDialog } from "./core.js";
import { Names } from "./names.js";

const mergePage = (people) => `/merge?${new URLSearchParams(people.map((id) => ["people", id]))}`;

function whenSubmitted(dialog, work) {
  const form = dialog.querySelector("form[data-merge]");
  form.addEventListener("submit", (event) => { event.preventDefault(); work(new FormData(form)); });
  form.querySelector("[data-leave]").addEventListener("click", () => dialog.close(""));
}

// Ask whether people, by their ids, are one. Returns the id of whom the name stays, null: they are not merged.
async function confirmMerge(people) {
  const kept = await openDialog(mergePage(people), (dialog) => {
    whenSubmitted(dialog, (chosen) => dialog.close(chosen.get("into")));
  });
  return kept ? Number(kept) : null;
}

// Ask who else is a person, those who look most alike first. Returns ids; none: nobody.
export async function chooseOthers(person) {
  let others = [];
  await openDialog(mergePage([person]), (dialog) => {
    whenSubmitted(dialog, (chosen) => { others = chosen.getAll("other").map(Number); dialog.close("chosen"); });
    const input = dialog.querySelector("[data-names]");
    const names = new Names(input, { without: person, mayBeNew: false, withUnnamed: true });
    names.onPick = ({ id }) => { others = [id]; dialog.close("chosen"); };
    names.onLeave = () => dialog.close("");
    dialog.addEventListener("close", () => names.destroy(), { once: true });
  });
  return others;
}

// Merge people if that is confirmed; `meanwhile` is given who stays and who goes. Returns who stays; null: nothing was done.
export async function mergePeople(people, meanwhile = () => {}) {
  const kept = await confirmMerge(people);
  if (kept === null) return null;
  const others = people.filter((one) => one !== kept);
  return (await act(`/people/${kept}/merge`, { people: others }, { meanwhile: () => meanwhile(kept, others) })) ? kept : null;
}
