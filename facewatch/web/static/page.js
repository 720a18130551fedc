// What every page does: it follows changes of the catalog, undoes, lists its keys, and finds its search field.
import { fail, own, refresh, toast, undoLast } from "./core.js";
import { followChanges } from "./live.js";

followChanges(() => refresh(), (sentence) => toast(sentence, null, { isError: true }));

window.addEventListener("unhandledrejection", (event) => { event.preventDefault(); fail(event.reason); });

const keys = document.getElementById("keys"), button = document.querySelector("[data-help]");
own(button, { hidden: null });
button.addEventListener("click", () => keys.showModal());

document.querySelector(".bar [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches?.("input, textarea, select, [contenteditable]")) return;
  const isFar = event.ctrlKey || event.metaKey, field = document.querySelector('[role="search"] input[type="search"]');
  if (event.key === "?" && !isFar) keys.showModal();
  else if ((event.key === "u" && !isFar) || (event.key === "z" && isFar && !event.shiftKey)) undoLast();
  else if (event.key === "/" && !isFar && field) { field.focus(); field.select(); }
  else return;
  event.preventDefault();
});
