// The journal: undo of any step, with what builds on it shown first; redo.
import { act } from "./core.js";
import { undo } from "./undo.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-undo], button[data-redo]");
  if (!button) return;
  if (button.dataset.redo !== undefined) act("/journal/redo");
  // On the page of a decision what builds on it is to be seen already.
  else if (Number(button.dataset.chain)) act(`/journal/${button.dataset.undo}/undo?with_chain=true`);
  else undo(Number(button.dataset.undo));
});
