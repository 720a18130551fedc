// Undo of one decision; what builds on it is shown first, and undone with it only when that is confirmed.
import { confirm } from "./choose.js";
import { act, api, fail } from "./core.js";

export async function undo(entry) {
  let found;
  try {
    found = await api(`/journal/${entry}`);
  } catch (error) {
    fail(error);
    return undefined;
  }
  const { entry: step, chain, said } = found;
  if (!chain.length) return act(`/journal/${entry}/undo`);
  const isSure = await confirm(`Undo: ${step.text}`, said, `Undo all ${chain.length + 1}`, chain.map((later) => later.text));
  return isSure ? act(`/journal/${entry}/undo?with_chain=true`) : undefined;
}
