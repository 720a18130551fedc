// Dialogs that ask who is meant, or whether two people are one.
import { ask } from "./core.js";
import { Names } from "./names.js";

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

// Ask for a person; returns { id, name } (id null: somebody new), null: it was left. `options` are those of Names.
export async function choosePerson(title, options = {}) {
  let chosen = null;
  await ask((dialog) => {
    const input = element("input", { type: "text" });
    input.setAttribute("aria-label", title);
    dialog.replaceChildren(element("h2", { textContent: title }), element("div", { className: "choose" }, input));
    const names = new Names(input, options);
    names.onPick = (row) => { chosen = row; dialog.close("chosen"); };
    names.onLeave = () => dialog.close("");
    dialog.addEventListener("close", () => names.destroy(), { once: true });
    setTimeout(() => input.focus());
  });
  return chosen;
}

const pictured = ({ cover, label }) => {
  const figure = element("figure", { className: "pictured" });
  if (cover) figure.append(element("img", { className: "face", src: cover, alt: "" }));
  figure.append(element("figcaption", { textContent: label }));
  return figure;
};

// Ask whether people are one; each { id, label, cover, isNamed }. Returns the id that stays, null: they are not merged.
export async function confirmMerge(people) {
  // Who has a name keeps it; of several, the first.
  const first = people.find((one) => one.isNamed) ?? people[0];
  const ordered = [first, ...people.filter((one) => one !== first)];
  const named = ordered.filter((one) => one.isNamed);
  const answer = await ask((dialog) => {
    const faces = element("div", { className: "pictured-row" }, ...ordered.slice(0, 6).map(pictured));
    const buttons = element("div", { className: "dialog-buttons" });
    const leave = element("button", { type: "button", textContent: "Leave them" });
    leave.addEventListener("click", () => dialog.close(""));
    buttons.append(leave);
    const keeps = named.length > 1 ? named : [first];
    for (const one of keeps) {
      const button = element("button", { type: "button", className: "primary", textContent: named.length > 1 ? `All are ${one.label}` : "The same person" });
      button.addEventListener("click", () => dialog.close(`${one.id}`));
      buttons.append(button);
    }
    dialog.replaceChildren(
      element("h2", { textContent: people.length === 2 ? "One person?" : `These ${people.length} are one person?` }), faces,
      element("p", { className: "hint", textContent: "It can be undone." }), buttons,
    );
    setTimeout(() => buttons.querySelector(".primary").focus());
  });
  return answer ? Number(answer) : null;
}

// Ask a question with one answer besides leaving it.
export async function confirm(title, text, label) {
  const answer = await ask((dialog) => {
    const buttons = element("div", { className: "dialog-buttons" });
    const leave = element("button", { type: "button", textContent: "Leave it" });
    const go = element("button", { type: "button", className: "primary", textContent: label });
    leave.addEventListener("click", () => dialog.close(""));
    go.addEventListener("click", () => dialog.close("yes"));
    buttons.append(leave, go);
    dialog.replaceChildren(element("h2", { textContent: title }), element("p", { textContent: text }), buttons);
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
    const form = element("form", { method: "dialog", className: "choose" }, input);
    form.addEventListener("submit", (event) => { event.preventDefault(); text = input.value.trim(); dialog.close("text"); });
    dialog.replaceChildren(element("h2", { textContent: title }), form, element("p", { className: "hint", textContent: hint }));
    setTimeout(() => { input.focus(); input.select(); });
  });
  return text;
}
