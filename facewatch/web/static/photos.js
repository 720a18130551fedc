// The page that finds photos: as one types, and names that complete.
import { api, debounced, refresh } from "./core.js";
import { Grid } from "./grid.js";

new Grid("grid");
const field = document.querySelector('.find input[type="search"]');

field.addEventListener("input", debounced(() => {
  const url = new URL(location.href);
  if (field.value.trim()) url.searchParams.set("q", field.value); else url.searchParams.delete("q");
  for (const name of ["page", "upto"]) url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
  refresh();
}, 200));

// The last word completes to a name, behind the cursor and selected, so that typing on replaces it.
let isDeleting = false;
field.addEventListener("keydown", (event) => { isDeleting = event.key === "Backspace" || event.key === "Delete"; });
field.addEventListener("input", debounced(async () => {
  const typed = field.value, word = /(?:^|[\s,])"?([^\s":,]{2,})$/.exec(typed)?.[1];
  if (isDeleting || !word || field.selectionStart !== typed.length || document.activeElement !== field) return;
  const { people } = await api(`/names?${new URLSearchParams({ q: word, limit: 1 })}`).catch(() => ({ people: [] }));
  const name = people[0]?.name;
  if (!name || field.value !== typed || !name.toLowerCase().startsWith(word.toLowerCase()) || name.includes(" ")) return;
  field.value = typed + name.slice(word.length);
  field.setSelectionRange(typed.length, field.value.length);
}, 120));
