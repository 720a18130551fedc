// The page of everybody: search as one types.
import { debounced, refresh } from "./core.js";

const field = document.querySelector('.find input[type="search"]');

field.addEventListener("input", debounced(async () => {
  const url = new URL(location.href);
  if (field.value) url.searchParams.set("q", field.value); else url.searchParams.delete("q");
  url.searchParams.delete("page");
  history.replaceState(null, "", url);
  await refresh();
}, 80));
