// Dialogs that ask who is meant, for a yes, or for a line of text.
import { ask, element } from "./core.js";
import { Names } from "./names.js";

// Ask for a person; returns { id, name } (id null: somebody new), { other } of one of `others` ({ value, label }, answers besides
// people), null: it was left. `face` is shown beside the question; the other options are those of Names.
export async function choosePerson(title, { others = [], face = null, ...options } = {}) {
  let chosen = null;
  await ask((dialog) => {
    const input = element("input", { type: "text" });
    input.setAttribute("aria-label", title);
    const heading = element("h2", { textContent: title }), field = element("div", { className: "choose" }, input);
    const buttons = others.map(({ value, label }) => element("button", { type: "button", textContent: label, onclick: () => { chosen = { other: value }; dialog.close("chosen"); } }));
    const picture = face === null ? [] : [element("img", { className: "face small", src: `/media/face/${face}`, alt: "" })];
    dialog.replaceChildren(element("div", { className: "choose-head" }, ...picture, heading), field);
    if (buttons.length) dialog.append(element("div", { className: "choose-others" }, ...buttons));
    const names = new Names(input, options);
    names.onPick = (row) => { chosen = row; dialog.close("chosen"); };
    names.onLeave = () => dialog.close("");
    dialog.addEventListener("close", () => names.destroy(), { once: true });
    setTimeout(() => input.focus());
  });
  return chosen;
}

// Ask whose these faces are, of which there are so many; returns it as the API takes it, null: it was left.
export async function chooseReceiver(n, options = {}) {
  const who = await choosePerson(n === 1 ? "Who is this?" : `Who are these ${n} faces?`, { ...options, withUnnamed: true });
  return who && receiver(who);
}

// Return a person as the API takes it.
export const receiver = (who) => (who.id === null ? { new_name: who.name } : { person: who.id });

// Ask a question with one answer besides leaving it; `list` stands below it.
export async function confirm(title, text, label, list = []) {
  const answer = await ask((dialog) => {
    const leave = element("button", { type: "button", textContent: "Leave it", onclick: () => dialog.close("") });
    const go = element("button", { type: "button", className: "primary", textContent: label, onclick: () => dialog.close("yes") });
    const lines = list.map((line) => element("li", { textContent: line }));
    dialog.replaceChildren(element("h2", { textContent: title }), element("p", { textContent: text }));
    if (lines.length) dialog.append(element("ul", { className: "later" }, ...lines));
    dialog.append(element("div", { className: "dialog-buttons" }, leave, go));
    setTimeout(() => go.focus());
  });
  return answer === "yes";
}

// Ask for a line of text; returns it, null: it was left.
export async function askText(title, { value = "", hint = "" } = {}) {
  let text = null;
  await ask((dialog) => {
    const input = element("input", { type: "text", value });
    input.setAttribute("aria-label", title);
    const leave = element("button", { type: "button", textContent: "Leave it", onclick: () => dialog.close("") });
    const go = element("button", { type: "submit", className: "primary", textContent: "Save" });
    const form = element("form", { method: "dialog", className: "choose" }, input, element("p", { className: "hint", textContent: hint }), element("div", { className: "dialog-buttons" }, leave, go));
    form.addEventListener("submit", (event) => { event.preventDefault(); text = input.value.trim(); dialog.close("text"); });
    dialog.replaceChildren(element("h2", { textContent: title }), form);
    setTimeout(() => { input.focus(); input.select(); });
  });
  return text;
}
