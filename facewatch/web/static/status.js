// What runs now, scans, and reclusters that are previewed.
import { act, api, fail, refresh, toast } from "./core.js";

const EVERY = 1000;

async function say(path, body = {}) {
  try {
    const done = await api(path, body);
    if (done.said) toast(done.said);
    await refresh();
  } catch (error) { fail(error); }
}

const work = {
  scan: () => say("/scan"),
  stop: () => say("/scan/stop"),
  drop: () => say("/recluster/drop"),
  async apply() { await act(`/recluster/${document.getElementById("preview").dataset.number}/apply`); },
};

document.addEventListener("click", (event) => { const button = event.target.closest("[data-do]"); if (button) work[button.dataset.do](); });

document.addEventListener("submit", (event) => {
  if (event.target.id !== "recluster") return;
  event.preventDefault();
  const wanted = {};
  for (const [name, value] of new FormData(event.target)) {
    if (value !== "") wanted[name] = name === "method" ? value : name === "is_from_scratch" ? true : Number(value);
  }
  say("/recluster", wanted);
});

// A method shows what it takes.
function showParameters() {
  const method = document.querySelector('#recluster [name="method"]'), takes = method.selectedOptions[0].dataset.takes;
  const known = new Set((takes ?? "eps min_samples k_reciprocal verification_threshold n_clusters").split(" "));
  for (const label of document.querySelectorAll("[data-parameter]")) {
    const { parameter } = label.dataset, isShown = ["min_faces", "strictness"].includes(parameter) || (takes !== undefined && known.has(parameter));
    label.classList.toggle("hidden", !isShown);
    if (!isShown) label.querySelector("input").value = "";
  }
}
document.addEventListener("change", (event) => { if (event.target.name === "method") showParameters(); });
document.addEventListener("refreshed", showParameters);
showParameters();

// Something that is under way moves.
setInterval(() => {
  const isMoving = document.querySelector('.doing[data-running="true"]') || document.querySelector('#preview[data-ready="false"]') || document.querySelector('[data-do="stop"]');
  if (!document.hidden && isMoving) refresh();
}, EVERY);
