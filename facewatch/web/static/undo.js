// Undo of one decision; what builds on it is shown first, and undone with it only when that is confirmed.
import { act, api, fail } from "./core.js";

export async function undo(entry) {
  let found;
  try {
    found = await api(`/journal/${entry}`);
  } catch (error) {
    fail(error);
    return undefined;
  }
  if (!found.chain.length) return act(`/journal/${entry}/undo`);
  if (!await confirmed(found)) return undefined;
  return act(`/journal/${entry}/undo?with_chain=true`);
}

function confirmed({ entry, chain, said }) {
  const dialog = document.getElementById("dialog");
  const title = element("h2", { id: "dialog-title" }, `Undo: ${entry.text}`);
  const list = element("ul", { class: "later" }, ...chain.map((later) => element("li", {}, later.text)));
  const all = element("button", { type: "submit", value: "all", class: "primary" }, `Undo all ${chain.length + 1}`);
  const none = element("button", { type: "submit", value: "" }, "Cancel");
  const form = element("form", { method: "dialog" }, title, element("p", {}, said), list, element("div", { class: "dialog-buttons" }, none, all));
  dialog.replaceChildren(form);
  dialog.returnValue = "";
  dialog.showModal();
  all.focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "all"), { once: true }));
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
