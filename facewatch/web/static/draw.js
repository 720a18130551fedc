// A box that is drawn over a photo, by pointer or keys, in pixels of the photo.
const NS = "http://www.w3.org/2000/svg";
const HINT = matchMedia("(pointer: coarse)").matches
  ? "Draw a box round the face with a finger"
  : "Draw a box round the face; or arrows move it, with Shift they size it, Enter ends, Escape leaves it";

export class Drawing {
  #box = null;
  #waiting = "";

  // `svg()` and `size()` are those of the photo; onEnd(box) is called when the box is drawn.
  constructor(page, svg, size, { status, button }) {
    Object.assign(this, { page, svg, size, status, button, onEnd: () => {} });
  }

  get isOn() { return this.#box !== null; }

  start() {
    const { width, height } = this.size(), side = Math.min(width, height) / 6;
    this.#set({ x: (width - side) / 2, y: (height - side) / 2, w: side, h: side });
  }

  stop() { this.#waiting = ""; this.#set(null); }

  // Until it is stopped, or waits for nothing (""), the box stays as it is, and this is said.
  wait(text) { this.#waiting = text; this.show(); }

  // It was drawn from one corner to another.
  drag(from, to) {
    if (this.isOn && !this.#waiting) this.#set({ x: Math.min(from.x, to.x), y: Math.min(from.y, to.y), w: Math.abs(to.x - from.x), h: Math.abs(to.y - from.y) });
    return this.isOn;
  }

  end() {
    if (this.isOn && !this.#waiting) this.onEnd(Object.fromEntries(Object.entries(this.#box).map(([name, value]) => [name, Math.round(value)])));
  }

  // Returns whether a key was one of its own.
  key(event) {
    const step = Math.max(1, Math.min(this.size().width, this.size().height) / 60);
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    const box = this.#box;
    if (box === null) return false;
    if (this.#waiting) return event.key === "Enter" || way !== undefined;
    if (event.key === "Escape") this.stop();
    else if (event.key === "Enter") this.end();
    else if (!way) return false;
    else if (event.shiftKey) this.#set({ ...box, w: Math.max(step, box.w + way[0]), h: Math.max(step, box.h + way[1]) });
    else this.#set({ ...box, x: box.x + way[0], y: box.y + way[1] });
    return true;
  }

  // Show it again: the page was brought up to date.
  show() { this.#set(this.#box); }

  #set(box) {
    this.#box = box;
    this.page.classList.toggle("drawing", this.isOn);
    this.button().setAttribute("aria-pressed", this.isOn);
    this.status.hidden = !this.isOn;
    this.page.classList.toggle("adding", this.#waiting !== "");
    const said = this.#waiting || HINT;
    if (this.isOn && this.status.textContent !== said) this.status.textContent = said;
    this.svg().querySelector(".drawn")?.remove();
    if (box === null) return;
    const group = document.createElementNS(NS, "g"), rect = document.createElementNS(NS, "rect");
    group.setAttribute("class", "box drawn");
    for (const [name, value] of [["x", box.x], ["y", box.y], ["width", box.w], ["height", box.h]]) rect.setAttribute(name, value);
    group.append(rect);
    this.svg().append(group);
  }
}
