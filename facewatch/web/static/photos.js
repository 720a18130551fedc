// The page that finds photos: as one types, and what is typed completes.
import { api, debounced, searchFor } from "./core.js";
import { Grid } from "./grid.js";
import { Names } from "./names.js";

new Grid("grid");
const field = document.querySelector('.find input[type="search"]');

const find = debounced(() => searchFor(field.value), 200);
field.addEventListener("input", find);

// Names, folders and words complete what is typed last, while the cursor is behind it.
const completing = new Names(field, {
  mayBeNew: false,
  isFree: true,
  listLabel: "What the search may go on with",
  lookUp: async (_, signal) => {
    if (field.selectionStart !== field.value.length) return [];
    const { completions } = await api(`/completions?${new URLSearchParams({ q: field.value })}`, undefined, { signal });
    return completions.map((row, i) => ({ ...row, id: i }));
  },
});
completing.onPick = ({ text }) => {
  field.value = text;
  field.focus();
  field.setSelectionRange(text.length, text.length);
  find();
};
