// A grid of tiles as the W3C describes grids: one tab stop, arrows in the layout as it is, selection, an action bar, paging.
//
// The macros `actions`, `action` and `pages` of web/parts.html make this HTML; without scripts it is a list of links:
//
//   <div id="grid" class="tiles" data-grid role="list" aria-label="Faces" data-total="1200">
//     <div id="f7" class="tile" role="listitem" data-face="7">           each tile has an id; what it stands for is in data-…
//       <div class="tile-cell"><a class="tile-face" href="/person/3"><img …></a> … </div>
//     </div>
//   </div>
//   <div id="grid-actions" class="actions" data-actions="grid" role="toolbar" aria-label="Selected" hidden>
//     <span class="actions-count" data-keep role="status" data-one="1 selected" data-many="{n} selected"></span>
//     <button type="button" data-action="merge" data-key="m" data-min="2">Merge</button>    data-min, data-max: how many it takes
//     <button type="button" data-action="clear" data-key="Escape">Clear</button>
//   </div>
//   <nav class="pages" data-more="grid"><a rel="next" href="?page=2">Next</a></nav>         its tiles are appended as one scrolls
//
//   const grid = new Grid("grid");                        one for the page's life, also where the element comes later
//   grid.on("merge", (tiles) => …);                       an action of the bar, or its key: the selected tiles, else the current one
//   grid.key(["r", "F2"], (tile) => …);                   a key that is about the current tile
//   grid.onOpen = (tile) => …;                            instead of following its link on Enter
//   grid.selected()                                       tiles, in the order of the page
//   grid.current()                                        the tile that has the tab stop
//   grid.focus(tile); grid.clear(); grid.select(tile)
//
// Between the tiles, headings: <div class="…" role="listitem" data-heading><h2>May 2019</h2></div>.
//
// Keys: arrows, Home and End in a row, Ctrl+Home and Ctrl+End, Page Up and Page Down; with Shift they extend the selection. Space
// selects, Ctrl+A selects all, Escape clears, Enter opens. Ctrl+click, Shift+click, a click on the tick of a tile, and a long press
// select; while something is selected, a click selects, too. Selection, focus and the current tile survive a refresh.
// The element gets "selected" events (detail: the tiles) when the selection changes.
import { TYPED_IN, fetchPage, isTaken, own } from "./core.js";

const LONG_PRESS_MS = 450;
const STILL_PX = 10;
const AHEAD = "1600px";

// The faces of tiles, by their ids.
export const facesOf = (tiles) => tiles.map((tile) => Number(tile.dataset.face));

// What lets tiles go at once (see `act`); the page as it then is brings those back that stay.
export const removing = (tiles) => () => tiles.forEach((tile) => tile.remove());

export class Grid {
  #selected = new Set();
  #base = new Set();
  #anchorId = null;
  #currentId = null;
  #index = 0;
  #actions = new Map();
  #keys = new Map();
  #hadFocus = false;
  #isLoading = false;
  #press = null;
  #ignoreClick = 0;

  constructor(id = "grid") {
    this.id = id;
    this.onOpen = null;
    this.on("clear", () => this.clear());
    document.addEventListener("keydown", (event) => this.#keydown(event));
    document.addEventListener("click", (event) => this.#click(event), true);
    document.addEventListener("focusin", (event) => { const tile = this.#tileOf(event.target); if (tile) this.#setCurrent(tile); });
    document.addEventListener("refreshing", () => { this.#hadFocus = this.element?.contains(document.activeElement) ?? false; });
    document.addEventListener("refreshed", () => this.#renew());
    this.#followPresses();
    this.#observer = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) this.#more(); }, { rootMargin: AHEAD });
    this.#renew();
  }

  #observer;

  get element() { return document.getElementById(this.id); }
  get #bar() { return document.querySelector(`[data-actions="${this.id}"]`); }
  get #pages() { return document.querySelector(`[data-more="${this.id}"]`); }

  tiles() { return this.element === null ? [] : [...this.element.querySelectorAll(":scope > .tile")]; }
  selected() { return this.tiles().filter((tile) => this.#selected.has(tile.id)); }
  current() { return this.#currentId === null ? null : document.getElementById(this.#currentId); }

  // `work` is called with tiles: those that are selected, else the current one.
  on(action, work) { this.#actions.set(action, work); }

  key(keys, work) { for (const key of keys) this.#keys.set(key, work); }

  focus(tile) {
    this.#setCurrent(tile);
    tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest" });
  }

  select(tile, is = true) {
    if (is) this.#selected.add(tile.id); else this.#selected.delete(tile.id);
    this.#anchorId = tile.id;
    this.#base = new Set(this.#selected);
    this.#showSelection();
  }

  clear() {
    this.#selected.clear();
    this.#base.clear();
    this.#showSelection();
  }

  // --- what a screen reader and the tab key find ---

  #renew() {
    const tiles = this.tiles();
    if (this.element !== null) this.#setUp(tiles);
    const ids = new Set(tiles.map((tile) => tile.id));
    this.#selected = new Set([...this.#selected].filter((id) => ids.has(id)));
    this.#base = new Set([...this.#base].filter((id) => ids.has(id)));
    if (tiles.length) {
      const tile = ids.has(this.#currentId) ? this.current() : tiles[Math.min(this.#index, tiles.length - 1)];
      this.#setCurrent(tile);
      // A tile that was moved, or went, took the focus with it.
      if (this.#hadFocus && !this.element.contains(document.activeElement)) tile.focus({ preventScroll: true });
    }
    this.#hadFocus = false;
    this.#showSelection();
    this.#observer.disconnect();
    if (this.#pages?.querySelector("[rel=next]")) this.#observer.observe(this.#pages);
  }

  #setUp(tiles) {
    const grid = this.element;
    own(grid, { role: "grid", "aria-multiselectable": "true", "aria-colcount": "1", "aria-rowcount": grid.dataset.total ?? tiles.length });
    // What stands above some tiles is a row without a place among them.
    for (const heading of grid.querySelectorAll(":scope > [data-heading]")) {
      own(heading, { role: "row" });
      own(heading.firstElementChild, { role: "gridcell" });
    }
    tiles.forEach((tile, i) => {
      own(tile, { role: "row", tabindex: tile.id === this.#currentId ? "0" : "-1", "aria-rowindex": i + 1, "aria-selected": this.#selected.has(tile.id) });
      if (tile.firstElementChild.getAttribute("role") === "gridcell") return;
      own(tile.firstElementChild, { role: "gridcell" });
      for (const inner of tile.querySelectorAll("a, button")) own(inner, { tabindex: "-1" });
    });
  }

  #setCurrent(tile) {
    const before = this.current();
    if (before !== null && before !== tile) own(before, { tabindex: "-1" });
    own(tile, { tabindex: "0" });
    this.#currentId = tile.id;
    this.#index = Math.max(0, this.tiles().indexOf(tile));
  }

  #showSelection() {
    for (const tile of this.tiles()) own(tile, { "aria-selected": this.#selected.has(tile.id) });
    const tiles = this.selected();
    if (this.element !== null) own(this.element, { "data-selecting": tiles.length > 0 });
    this.#showBar(tiles.length);
    this.element?.dispatchEvent(new CustomEvent("selected", { detail: tiles, bubbles: true }));
  }

  #showBar(n) {
    const bar = this.#bar;
    if (bar === null) return;
    own(bar, { hidden: n === 0 ? "" : null });
    for (const button of bar.querySelectorAll("[data-action]")) own(button, { disabled: takes(button, n) ? null : "" });
    const count = bar.querySelector(".actions-count");
    const words = n === 0 ? "" : n === 1 ? count.dataset.one : count.dataset.many.replace("{n}", n.toLocaleString("en"));
    if (count.textContent !== words) count.textContent = words;
  }

  // --- keys ---

  #keydown(event) {
    if (isTaken(event)) return;
    const tile = this.#tileOf(event.target), isInBar = this.#bar?.contains(event.target) ?? false;
    if (tile === null && !isInBar && event.target !== document.body) return;
    if ((tile !== null && this.#moves(event, tile)) || this.#acts(event, tile)) event.preventDefault();
  }

  #moves(event, tile) {
    const tiles = this.tiles(), i = tiles.indexOf(tile), far = event.ctrlKey || event.metaKey;
    if (event.key === "a" && far) { this.#selectAll(tiles); return true; }
    const to = far && event.key.startsWith("Arrow") ? null : destination(event.key, tiles, i, far);
    if (to === null) return false;
    this.#anchorId ??= tile.id;
    this.focus(tiles[to]);
    if (event.shiftKey) this.#extendTo(tiles, to);
    else { this.#anchorId = tiles[to].id; this.#base = new Set(this.#selected); }
    return true;
  }

  #acts(event, tile) {
    if (event.ctrlKey || event.metaKey) return false;
    if (tile !== null && event.key === " ") {
      if (event.shiftKey) this.#extendTo(this.tiles(), this.tiles().indexOf(tile)); else this.select(tile, !this.#selected.has(tile.id));
      return true;
    }
    if (tile !== null && event.key === "Enter" && event.target === tile) { this.#open(tile); return true; }
    if (event.key === "Escape" && this.#selected.size) { this.clear(); return true; }
    if (tile !== null && this.#keys.has(event.key)) { this.#keys.get(event.key)(tile); return true; }
    const button = this.#bar?.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    return button ? this.#run(button, tile) : false;
  }

  // Do an action; false: there is nothing that it could be done with.
  #run(button, tile = null) {
    const chosen = this.selected();
    const tiles = chosen.length || tile === null ? chosen : [tile];
    const work = this.#actions.get(button.dataset.action);
    if (!work || !tiles.length || (chosen.length && !takes(button, tiles.length))) return false;
    work(tiles);
    return true;
  }

  #open(tile) {
    if (this.onOpen) this.onOpen(tile); else tile.querySelector("a.tile-face")?.click();
  }

  #selectAll(tiles) {
    const isAll = tiles.every((tile) => this.#selected.has(tile.id));
    this.#selected = new Set(isAll ? [] : tiles.map((tile) => tile.id));
    this.#base = new Set();
    this.#showSelection();
  }

  #extendTo(tiles, to) {
    const from = Math.max(0, tiles.findIndex((tile) => tile.id === this.#anchorId));
    const range = tiles.slice(Math.min(from, to), Math.max(from, to) + 1).map((tile) => tile.id);
    this.#selected = new Set([...this.#base, ...range]);
    this.#showSelection();
  }

  // --- mouse and touch ---

  #tileOf(target) {
    const tile = target instanceof Element ? target.closest(".tile") : null;
    return tile !== null && tile.parentElement === this.element ? tile : null;
  }

  #click(event) {
    const button = event.target.closest?.("[data-action]");
    if (button && this.#bar?.contains(button)) { this.#run(button); return; }
    const tile = this.#tileOf(event.target);
    if (tile === null || event.target.closest(TYPED_IN)) return;
    const isOnFace = event.target.closest(".tile-face, .tile-tick") !== null;
    if (event.timeStamp < this.#ignoreClick) event.preventDefault();
    else if (event.shiftKey && isOnFace) this.#clickTo(event, tile);
    else if (isOnFace && event.detail > 0 && (event.ctrlKey || event.metaKey || this.#selected.size || event.target.closest(".tile-tick"))) {
      event.preventDefault();
      this.#setCurrent(tile);
      tile.focus({ preventScroll: true });
      this.select(tile, !this.#selected.has(tile.id));
    } else { this.#setCurrent(tile); return; }
    event.stopPropagation();
  }

  #clickTo(event, tile) {
    event.preventDefault();
    const tiles = this.tiles();
    this.#anchorId ??= tile.id;
    this.#extendTo(tiles, tiles.indexOf(tile));
    this.#setCurrent(tile);
    tile.focus({ preventScroll: true });
    document.getSelection()?.removeAllRanges();
  }

  #followPresses() {
    const end = () => { clearTimeout(this.#press?.timer); this.#press = null; };
    document.addEventListener("pointerdown", (event) => {
      const tile = this.#tileOf(event.target);
      if (event.pointerType !== "touch" || !event.isPrimary || tile === null) return;
      this.#press = { x: event.clientX, y: event.clientY, timer: setTimeout(() => this.#pressed(tile), LONG_PRESS_MS) };
    });
    document.addEventListener("pointermove", (event) => {
      if (this.#press && Math.hypot(event.clientX - this.#press.x, event.clientY - this.#press.y) > STILL_PX) end();
    });
    for (const name of ["pointerup", "pointercancel", "scroll"]) document.addEventListener(name, end, { passive: true });
    document.addEventListener("contextmenu", (event) => {
      if (event.pointerType === "touch" && this.#tileOf(event.target)) event.preventDefault();
    });
  }

  #pressed(tile) {
    this.#press = null;
    // The click that ends the press is not meant.
    this.#ignoreClick = performance.now() + 1500;
    document.addEventListener("pointerup", () => setTimeout(() => { this.#ignoreClick = 0; }, 50), { once: true });
    this.#setCurrent(tile);
    this.select(tile, !this.#selected.has(tile.id));
    navigator.vibrate?.(10);
  }

  // --- paging ---

  // Append the tiles of the next page. The address says how far the list goes, so that a refresh and "back" bring all of them.
  async #more() {
    const link = this.#pages?.querySelector("[rel=next]");
    if (!link || this.#isLoading) return;
    this.#isLoading = true;
    const found = await fetchPage(link.href);
    this.#isLoading = false;
    // Where there is none the link stays, and is tried again as one scrolls. Not if the page was refreshed meanwhile: then this may
    // be another list.
    if (found?.response.ok && link.isConnected) this.#append(found.page, new URL(link.href));
  }

  #append(page, url) {
    const known = new Set([...this.element.children].map((one) => one.id));
    const more = [...(page.getElementById(this.id)?.children ?? [])].filter((one) => !known.has(one.id));
    const here = new URL(location.href);
    here.searchParams.set("upto", url.searchParams.get("page"));
    history.replaceState(history.state, "", here);
    this.element.append(...more);
    const pages = page.querySelector(`[data-more="${this.id}"]`);
    if (pages) this.#pages.replaceChildren(...pages.childNodes); else this.#pages.remove();
    this.#renew();
  }
}

function takes(button, n) {
  return n >= Number(button.dataset.min ?? 1) && n <= Number(button.dataset.max ?? Infinity);
}

// --- where a key leads ---

// Return the index of the tile to which a key leads; null: it leads nowhere.
function destination(key, tiles, i, isFar) {
  switch (key) {
    case "ArrowRight": return Math.min(i + 1, tiles.length - 1);
    case "ArrowLeft": return Math.max(i - 1, 0);
    case "ArrowDown": return nextRow(tiles, i, 1);
    case "ArrowUp": return nextRow(tiles, i, -1);
    case "Home": return isFar ? 0 : rowEnd(tiles, i, -1);
    case "End": return isFar ? tiles.length - 1 : rowEnd(tiles, i, 1);
    case "PageDown": return page(tiles, i, 1);
    case "PageUp": return page(tiles, i, -1);
    default: return null;
  }
}

const box = (tile) => tile.getBoundingClientRect();
const middle = (rect) => rect.left + rect.width / 2;
const isSameRow = (one, other) => one.top < other.bottom - 1 && other.top < one.bottom - 1;

// Return the index of the tile that is nearest in the row below (1) or above (-1).
function nextRow(tiles, i, sign) {
  const from = box(tiles[i]);
  let best = i, distance = Infinity, row = null;
  for (let j = i + sign; j >= 0 && j < tiles.length; j += sign) {
    const rect = box(tiles[j]);
    if (isSameRow(rect, from)) continue;
    row ??= rect;
    if (!isSameRow(rect, row)) break;
    const far = Math.abs(middle(rect) - middle(from));
    if (far < distance) { best = j; distance = far; }
  }
  return best;
}

function rowEnd(tiles, i, sign) {
  const from = box(tiles[i]);
  let j = i;
  while (j + sign >= 0 && j + sign < tiles.length && isSameRow(box(tiles[j + sign]), from)) j += sign;
  return j;
}

function page(tiles, i, sign) {
  const from = box(tiles[i]), height = 0.85 * innerHeight;
  let j = i;
  for (;;) {
    const next = nextRow(tiles, j, sign);
    if (next === j || (j !== i && Math.abs(box(tiles[next]).top - from.top) > height)) return j;
    j = next;
  }
}
