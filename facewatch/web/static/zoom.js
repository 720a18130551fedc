// A picture in a frame, with boxes over it and names beside them: it can be enlarged and moved, by wheel, fingers and keys.
const MOST = 12, CLICK = 5, ROWS = 3;
const narrow = matchMedia("(max-width: 900px)");

export class Zoom {
  #scale = 1;
  #left = 0;
  #top = 0;
  #fingers = new Map();
  #press = null;

  // `size()` is that of the photo in its own pixels. onDrag(from, to) is handed points of the photo and returns whether it takes
  // them; else the picture is moved. onDrop(isMoved, event) comes when the pointer is lifted.
  constructor(frame, picture, labels, size) {
    Object.assign(this, { frame, picture, labels, size, onDrag: () => false, onDrop: () => {} });
    frame.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.#within(event)); }, { passive: false });
    frame.addEventListener("pointerdown", (event) => this.#down(event));
    frame.addEventListener("pointermove", (event) => this.#move(event));
    frame.addEventListener("pointerup", (event) => this.#up(event));
    frame.addEventListener("pointercancel", (event) => { this.#fingers.delete(event.pointerId); this.#press = null; });
    new ResizeObserver(() => this.place()).observe(frame);
  }

  get isLarger() { return this.#scale > 1; }

  // Put picture, boxes and names where they are now.
  place() {
    const { width, height } = this.size(), { frame, picture } = this;
    // On a phone the frame is as high as the picture, not to leave the screen black.
    frame.style.height = narrow.matches ? `${Math.min(innerHeight * 0.62, (frame.clientWidth * height) / width)}px` : "";
    const fit = Math.min(frame.clientWidth / width, frame.clientHeight / height);
    if (!(fit > 0)) return;
    const wide = width * fit, high = height * fit;
    picture.style.width = `${wide}px`;
    picture.style.height = `${high}px`;
    this.#left = Math.min(0, Math.max(this.#left, wide * (1 - this.#scale)));
    this.#top = Math.min(0, Math.max(this.#top, high * (1 - this.#scale)));
    picture.style.transform = `translate(${this.#left}px, ${this.#top}px) scale(${this.#scale})`;
    this.#placeLabels(wide, high);
  }

  // Names stand below their faces; where one would lie on another it goes lower, and who finds no room is shown when chosen.
  #placeLabels(wide, high) {
    const x = this.picture.offsetLeft + this.#left, y = this.picture.offsetTop + this.#top, placed = [];
    for (const label of this.labels.children) {
      const [across, down] = label.dataset.at.split(" ").map(Number);
      const w = label.offsetWidth, h = label.offsetHeight;
      const middle = x + (across / 100) * wide * this.#scale;
      const left = Math.max(w / 2 + 2, Math.min(middle, this.frame.clientWidth - w / 2 - 2));
      let top = y + (down / 100) * high * this.#scale, row = 0;
      const lies = () => placed.some((one) => Math.abs(one.left - left) < (one.w + w) / 2 && Math.abs(one.top - top) < h);
      while (lies() && row < ROWS) { top += h + 1; row++; }
      label.classList.toggle("crowded", lies());
      label.style.left = `${Math.abs(middle - left) > w ? middle : left}px`;
      label.style.top = `${Math.min(top, this.frame.clientHeight - h - 8)}px`;
      placed.push({ left, top, w });
    }
  }

  zoom(factor, at = { x: this.picture.clientWidth / 2, y: this.picture.clientHeight / 2 }) {
    const wanted = Math.min(MOST, Math.max(1, this.#scale * factor));
    this.#left = at.x - ((at.x - this.#left) * wanted) / this.#scale;
    this.#top = at.y - ((at.y - this.#top) * wanted) / this.#scale;
    this.#scale = wanted;
    this.place();
  }

  whole() { this.zoom(1 / this.#scale); }

  move(across, down) { this.#left += across; this.#top += down; this.place(); }

  // Move an enlarged picture so that a box of the photo is seen.
  reveal({ x, y, width, height }) {
    if (!this.isLarger) return;
    const { frame, picture } = this, per = (picture.clientWidth / this.size().width) * this.#scale;
    this.#left = frame.clientWidth / 2 - picture.offsetLeft - (x + width / 2) * per;
    this.#top = frame.clientHeight / 2 - picture.offsetTop - (y + height / 2) * per;
    this.place();
  }

  #within(event) {
    const area = this.frame.getBoundingClientRect();
    return { x: event.clientX - area.left - this.picture.offsetLeft, y: event.clientY - area.top - this.picture.offsetTop };
  }

  #inPhoto({ x, y }) {
    const per = (this.size().width / this.picture.clientWidth) / this.#scale;
    return { x: (x - this.#left) * per, y: (y - this.#top) * per };
  }

  #down(event) {
    if (event.button !== 0) return;
    const at = this.#within(event);
    this.#fingers.set(event.pointerId, at);
    this.frame.setPointerCapture(event.pointerId);
    // Two fingers enlarge it, whatever the first has begun.
    this.#press = this.#fingers.size === 1 ? { from: at, inPhoto: this.#inPhoto(at), left: this.#left, top: this.#top, isMoved: false } : null;
  }

  #move(event) {
    if (!this.#fingers.has(event.pointerId)) return;
    const at = this.#within(event), before = [...this.#fingers.values()];
    this.#fingers.set(event.pointerId, at);
    if (this.#fingers.size === 2) { this.#pinch(before, [...this.#fingers.values()]); return; }
    const press = this.#press;
    if (press === null) return;
    press.isMoved ||= Math.hypot(at.x - press.from.x, at.y - press.from.y) > CLICK;
    if (!press.isMoved || this.onDrag(press.inPhoto, this.#inPhoto(at))) return;
    this.#left = press.left + at.x - press.from.x;
    this.#top = press.top + at.y - press.from.y;
    this.place();
  }

  #pinch([a, b], [c, d]) {
    const apart = (p, q) => Math.max(1, Math.hypot(p.x - q.x, p.y - q.y)), middle = (p, q) => ({ x: (p.x + q.x) / 2, y: (p.y + q.y) / 2 });
    const was = middle(a, b), is = middle(c, d);
    this.#left += is.x - was.x;
    this.#top += is.y - was.y;
    this.zoom(apart(c, d) / apart(a, b), is);
  }

  #up(event) {
    if (!this.#fingers.delete(event.pointerId)) return;
    const press = this.#press;
    this.#press = null;
    if (press) this.onDrop(press.isMoved, event);
  }
}
