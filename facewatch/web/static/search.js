// Search by a photo: it is sent to this machine's facewatch only, and its faces are cut from it here.
import { fail, ApiError } from "./core.js";

const drop = document.getElementById("drop"), file = document.getElementById("file"), busy = drop.querySelector(".drop-busy");
let photo = null;

async function search(chosen) {
  drop.classList.add("busy");
  busy.textContent = "Looking for faces and who is like them…";
  try {
    const response = await fetch("/search", { method: "POST", body: chosen, headers: { "Content-Type": "application/octet-stream", Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!response.ok) throw new ApiError(response.status, page.querySelector("main p")?.textContent ?? "the search failed");
    document.getElementById("results").replaceChildren(...page.getElementById("results").childNodes);
    photo = await createImageBitmap(chosen).catch(() => null);
    document.querySelectorAll("[data-box]").forEach(cut);
  } catch (error) {
    fail(error instanceof TypeError ? new ApiError(0, "no answer from facewatch, or the photo cannot be read") : error);
  } finally {
    drop.classList.remove("busy");
    busy.textContent = "";
  }
}

function cut(button) {
  if (photo === null) return;
  const [x, y, w, h] = button.dataset.box.split(" ").map(Number), side = Math.max(w, h) * 1.3;
  button.querySelector("canvas").getContext("2d").drawImage(photo, x + w / 2 - side / 2, y + h / 2 - side / 2, side, side, 0, 0, 72, 72);
}

file.addEventListener("change", () => { if (file.files[0]) search(file.files[0]); });
for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [dropped] = event.dataTransfer.files;
  if (dropped) search(dropped);
});
document.addEventListener("paste", (event) => { const [pasted] = event.clipboardData.files; if (pasted) search(pasted); });

document.addEventListener("click", (event) => {
  const probe = event.target.closest("[data-probe]");
  if (!probe) return;
  for (const one of document.querySelectorAll("[data-probe]")) one.setAttribute("aria-pressed", one === probe);
  for (const one of document.querySelectorAll("[data-found]")) one.hidden = one.dataset.found !== probe.dataset.probe;
});
