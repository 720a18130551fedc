// What every page does: it follows changes of the catalog, undoes, lists its keys, and finds its search field.
import { changed, fail, isTaken, own, refresh, sayCarried, sayFault, undoLast } from "./core.js";
import { followNews } from "./live.js";

followNews((kind, news) => {
  if (kind === "shown") refresh();
  else if (kind === "changed") changed(news);
  else if (kind === "fault") { if (news) sayFault(news); }
  else if (kind === "renewed") { if (isOlder(news)) refresh(); }
  else document.dispatchEvent(new CustomEvent(kind, { detail: news }));
});

// Numbers that are slow to count are shown as they were a moment ago; the page says how old they are.
function isOlder(news) {
  return [...document.querySelectorAll("[data-counted]")].some(({ dataset }) => (news[dataset.counted] ?? 0) > Number(dataset.version));
}

window.addEventListener("unhandledrejection", (event) => { event.preventDefault(); fail(event.reason); });

sayCarried();

const keys = document.getElementById("keys"), button = document.querySelector("[data-help]");
own(button, { hidden: null });
button.addEventListener("click", () => keys.showModal());

document.querySelector(".bar [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

document.addEventListener("keydown", (event) => {
  if (isTaken(event)) return;
  const isFar = event.ctrlKey || event.metaKey, field = document.querySelector('[role="search"] input[type="search"]');
  if (event.key === "?" && !isFar) keys.showModal();
  else if ((event.key === "u" && !isFar) || (event.key === "z" && isFar && !event.shiftKey)) undoLast();
  else if (event.key === "/" && !isFar && field) { field.focus(); field.select(); }
  else return;
  event.preventDefault();
});
