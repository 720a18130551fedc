// What runs now, and scans that are started here.
import { api, fail, refresh, toast } from "./core.js";

const PATHS = { scan: "/scan", stop: "/scan/stop" };

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  button.disabled = true;
  try {
    toast((await api(PATHS[button.dataset.do], {})).said);
  } catch (error) { fail(error); }
  button.disabled = false;
  await refresh();
});

// What runs says how far it is; so does what was started here.
for (const kind of ["heartbeat", "jobs"]) document.addEventListener(kind, () => refresh());
