// A field that completes the names of people (a combobox with a list, as the W3C describes it).
//
//   const names = new Names(input, {
//     without: 12,              who is not offered: the person that gets the name
//     mayBeNew: true,           whether a name that nobody has can be given; it is offered last, as `newLabel(text)`
//     newLabel: (text) => `Name “${text}”`,
//     lookUp: (text, signal) => …,  asks for something else than names: rows with id, label, note, cover_id
//     listLabel: "People",      what the list is, for who cannot see it
//     isFree: false,            whether Enter is the page's unless something is highlighted: what is typed need not be a name
//     withUnnamed: false,       whether people without a name are offered ("Person 0012")
//   });
//   names.onPick = ({ id, name, n_photos, cover_id }) => …;      id null: a new name. Enter takes the highlighted one, else the one
//                                                                of exactly this name, else the new name; a click takes one
//   names.onLeave = () => …;                                     Escape with the list closed, or Enter in an empty field
//   await names.choice()                                         what Enter would take now, also where the field is gone
//                                                                meanwhile; null: nothing
//   names.destroy()                                              before the field goes
//
// The field needs a label. Tab is the page's: `choice()` says what it may save.
import { api, element, own } from "./core.js";

const AT_MOST = 7;
let count = 0;

export class Names {
  #answer = null;
  #asking = null;
  #rows = [];
  #highlighted = -1;
  #listeners = new AbortController();

  constructor(input, { without = null, mayBeNew = true, withUnnamed = false, newLabel = (text) => `New person “${text}”`, lookUp = null, isFree = false, listLabel = "People" } = {}) {
    this.input = input;
    this.options = { without, mayBeNew, withUnnamed, newLabel, lookUp, isFree };
    this.onPick = () => {};
    this.onLeave = () => {};
    this.list = element("div", { id: `names-${++count}`, className: "names", role: "listbox", ariaLabel: listLabel, hidden: true });
    this.list.dataset.keep = "";
    // A dialog lies above the page and so hides what is not in it.
    (input.closest("dialog") ?? document.body).append(this.list);
    input.autocomplete = "off";
    own(input, { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.list.id });
    this.#listen();
  }

  get isOpen() { return !this.list.hidden; }

  #listen() {
    const { signal } = this.#listeners;
    this.input.addEventListener("input", () => this.#ask(), { signal });
    this.input.addEventListener("keydown", (event) => this.#keydown(event), { signal });
    this.input.addEventListener("blur", () => this.close(), { signal });
    // The field keeps the focus.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault(), { signal });
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#pick(this.#rows[Number(option.dataset.row)]);
    }, { signal });
    for (const name of ["scroll", "resize"]) window.addEventListener(name, () => this.isOpen && this.#place(), { signal, capture: true, passive: true });
  }

  destroy() {
    this.#listeners.abort();
    this.#asking?.abort();
    this.list.remove();
  }

  close() {
    this.list.hidden = true;
    this.#highlight(-1);
    own(this.input, { "aria-expanded": "false" });
  }

  // Return what Enter takes: what is highlighted, who is called exactly so, or a new name; null: nothing.
  async choice() {
    if (this.isOpen && this.#highlighted >= 0) return this.#rows[this.#highlighted];
    const text = this.input.value.trim();
    if (!text) return null;
    const people = this.#answer?.text === text && this.#answer.people ? this.#answer.people : await this.#lookUp(text).catch(() => []);
    return people.find((row) => row.is_exact) ?? (this.options.mayBeNew ? { id: null, name: text } : null);
  }

  async #lookUp(text, signal) {
    if (this.options.lookUp) return await this.options.lookUp(text, signal);
    const query = new URLSearchParams({ q: text, limit: AT_MOST, unnamed: this.options.withUnnamed });
    if (this.options.without !== null) query.set("without", this.options.without);
    return (await api(`/names?${query}`, undefined, { signal })).people;
  }

  #keydown(event) {
    if (event.isComposing) return;
    const n = this.#rows.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!this.isOpen) { this.#ask(); return; }
      const step = event.key === "ArrowDown" ? 1 : -1;
      // -1 is the field itself.
      if (n) this.#highlight(((this.#highlighted + 1 + step + n + 1) % (n + 1)) - 1);
    } else if (event.key === "Enter") {
      if (this.options.isFree && !(this.isOpen && this.#highlighted >= 0)) { this.close(); return; }
      event.preventDefault();
      this.choice().then((row) => (row ? this.#pick(row) : this.input.value.trim() || this.onLeave()));
    } else if (event.key === "Escape" && (this.isOpen || !this.options.isFree)) {
      event.preventDefault();
      event.stopPropagation();
      if (this.isOpen) this.close(); else this.onLeave();
    }
  }

  #pick(row) {
    this.close();
    this.onPick(row);
  }

  // Fetch and show who fits what is typed.
  async #ask() {
    const text = this.input.value.trim();
    this.#asking?.abort();
    const asking = this.#asking = new AbortController();
    // The name can be given without help.
    const people = await this.#lookUp(text, asking.signal).catch(() => []);
    if (asking.signal.aborted) return;
    this.#answer = { text, people };
    this.#show(text, people);
  }

  #show(text, people) {
    const isTaken = people.some((one) => one.is_exact);
    this.#rows = [...people];
    if (text && this.options.mayBeNew && !isTaken) this.#rows.push({ id: null, name: text, label: this.options.newLabel(text) });
    this.list.replaceChildren(...this.#rows.map((row, i) => optionOf(row, i, this.list.id)));
    const isOpen = this.#rows.length > 0 && document.activeElement === this.input;
    this.list.hidden = !isOpen;
    own(this.input, { "aria-expanded": isOpen });
    this.#highlight(-1);
    if (isOpen) this.#place();
  }

  #highlight(i) {
    this.#highlighted = i;
    [...this.list.children].forEach((option, j) => option.setAttribute("aria-selected", j === i));
    const option = this.list.children[i];
    own(this.input, { "aria-activedescendant": option ? option.id : null });
    option?.scrollIntoView({ block: "nearest" });
  }

  #place() {
    const field = this.input.getBoundingClientRect(), width = Math.min(Math.max(field.width, 240), innerWidth - 16);
    const below = innerHeight - field.bottom, isAbove = below < 260 && field.top > below;
    const { style } = this.list;
    style.width = `${width}px`;
    style.left = `${Math.max(8, Math.min(field.left, innerWidth - width - 8))}px`;
    style.top = isAbove ? "auto" : `${field.bottom + 4}px`;
    style.bottom = isAbove ? `${innerHeight - field.top + 4}px` : "auto";
    style.maxHeight = `${Math.max(120, (isAbove ? field.top : below) - 12)}px`;
  }
}

function optionOf(row, i, listId) {
  const option = element("div", { id: `${listId}-${i}`, className: row.id === null ? "names-option new" : "names-option", role: "option", ariaSelected: "false" });
  option.dataset.row = i;
  if (row.cover_id) option.append(element("img", { className: "face small", src: `/media/face/${row.cover_id}`, alt: "" }));
  option.append(element("span", { className: "names-name", textContent: row.label ?? row.name }));
  if (row.note) option.append(element("span", { className: "names-note", textContent: row.note }));
  return option;
}
