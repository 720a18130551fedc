// A recluster: its parameters, and what it would do, to be applied or dropped.
import { act, api, fail, refresh, toast } from "./core.js";

const form = document.getElementById("recluster"), method = form.elements.method;

function wanted() {
  const values = {};
  for (const [name, value] of new FormData(form)) {
    if (name === "method") { if (value !== method.dataset.default) values.method = value; }
    else if (name === "is_from_scratch") values[name] = true;
    else if (value !== "" && !form.elements[name].closest(".hidden")) values[name] = Number(value);
  }
  return values;
}

async function preview() {
  try {
    await api("/recluster", wanted());
    history.replaceState(null, "", "/recluster");
    await refresh();
    document.getElementById("preview").scrollIntoView({ block: "nearest" });
  } catch (error) { fail(error); }
}

const work = {
  again: preview,
  async drop() {
    try { toast((await api("/recluster/drop", {})).said); } catch (error) { fail(error); }
    await refresh();
  },
  async apply() { await act(`/recluster/${document.getElementById("preview").dataset.number}/apply`); await refresh(); },
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  button.disabled = true;
  await work[button.dataset.do]();
  button.disabled = false;
});

form.addEventListener("submit", (event) => { event.preventDefault(); preview(); });

// A method shows what it takes.
function showParameters() {
  for (const field of form.querySelectorAll("[data-methods]")) {
    const { methods } = field.dataset;
    field.classList.toggle("hidden", methods !== "" && !methods.split(" ").includes(method.value));
  }
}
form.classList.add("by-method");
method.addEventListener("change", showParameters);
showParameters();

document.addEventListener("jobs", () => refresh());
