// A name that is written over where it stands: Enter saves, Escape leaves it, the name of somebody else offers to merge the two.
import { act, element, hold, toast } from "./core.js";
import { mergePeople } from "./merge.js";
import { Names } from "./names.js";

// Put a field in the place of `button`, which shows the name of `person` (an id).
//   isNamed     whether that is a name, and no label
//   show        is given the new name, to show it before the answer comes; returns what shows the old one again
//   onTab       is called after Tab (1) or Shift+Tab (-1), when the name is on its way; without it Tab leaves the field as ever
//   onEnd       is called when the field is gone by a key
//   onMerge     is given who stays and who goes, when the two are being merged
export function rename(button, person, { isNamed, show, onTab = null, onEnd = () => {}, onMerge = () => {} }) {
  const release = hold(), name = button.textContent.trim(), before = isNamed ? name : "";
  const input = element("input", { type: "text", ariaLabel: `Name of ${name}`, value: before }), form = element("form", { className: "name-form" }, input);
  form.dataset.keep = "";
  form.addEventListener("submit", (event) => event.preventDefault());
  button.hidden = true;
  button.after(form);
  const names = new Names(input, { without: person, newLabel: (text) => `Name “${text}”` });
  let isOver = false;
  const end = (isByKey = true) => {
    if (isOver) return;
    isOver = true;
    names.destroy();
    form.remove();
    button.hidden = false;
    if (isByKey) onEnd();
  };
  const save = (row, isElsewhere = false) => {
    if (row !== null && row.name !== before) give(person, row, { show, onMerge, isElsewhere });
  };
  names.onPick = (row) => { end(); save(row); release(); };
  names.onLeave = () => { end(); release(); };
  // Nobody waits for an answer: who goes on types already.
  const leave = async ({ isByKey = false, isElsewhere = true, goOn = () => {} } = {}) => {
    const chosen = names.choice();
    end(isByKey);
    goOn();
    save(await chosen, isElsewhere);
    release();
  };
  form.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") leave({ isByKey: true, isElsewhere: false });
    else if (event.key === "Tab" && onTab) leave({ goOn: () => onTab(event.shiftKey ? -1 : 1) });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true });
  // Not where the window lost the focus.
  input.addEventListener("blur", () => { if (!isOver && document.hasFocus()) leave(); });
  input.focus();
  input.select();
}

async function give(person, row, { show, onMerge, isElsewhere }) {
  const offerMerge = (other) => {
    const work = () => mergePeople([other, Number(person)], onMerge);
    // No dialog comes between who types the next name.
    if (isElsewhere) toast(`${row.name} is somebody else’s name`, null, { offer: { label: "Compare…", work } }); else work();
  };
  if (row.id !== null) { offerMerge(row.id); return; }
  await act(`/people/${person}/name`, { name: row.name }, {
    meanwhile: () => show(row.name),
    onError: (error) => {
      if (!error.answer.taken_by) return false;
      offerMerge(error.answer.taken_by);
      return true;
    },
  });
}
