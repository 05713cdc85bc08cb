/** The finder: shows the picture, and what a task lays over it. */

import { byId, pen } from "./element.js";
import { inBytes } from "./picture.js";

/** @typedef {import("./picture.js").Picture} Picture */

/**
 * What a task lays over the picture.
 *
 * @typedef {object} Overlay
 * @property {(context: CanvasRenderingContext2D, scale: number) => void} paint in pixels of the
 *   picture; `scale` is how many pixels of the screen (CSS) one of them takes
 * @property {(x: number, y: number) => string | null} [point] what is there, in words; called with
 *   NaN when the pointer leaves
 */

export class Stage {
  #view = byId("view", HTMLElement);
  #frame = byId("frame", HTMLElement);
  #canvas = byId("picture", HTMLCanvasElement);
  #above = byId("overlay", HTMLCanvasElement);
  #unseen = byId("unseen", HTMLElement);
  #tip = byId("tip", HTMLElement);
  #readout = byId("readout", HTMLElement);
  #coordinates = byId("coordinates", HTMLElement);
  /** @type {Picture | null} */
  #picture = null;
  /** @type {Overlay | null} */
  #overlay = null;
  #scale = 1;

  constructor() {
    new ResizeObserver(() => this.#fit()).observe(this.#view);
    this.#frame.addEventListener("pointermove", (event) => this.#point(event));
    this.#frame.addEventListener("pointerdown", (event) => this.#point(event));
    this.#frame.addEventListener("pointerleave", () => this.#leave());
  }

  /** @param {Picture} picture */
  async show(picture) {
    this.#picture = picture;
    this.#overlay = null;
    byId("invitation", HTMLElement).hidden = this.#unseen.hidden = true;
    this.describe("");
    this.#fit();
    await picture.looked;
    if (this.#picture !== picture) return;
    this.#unseen.hidden = picture.isShown;
    this.#fit();
  }

  /** The size is known from an answer, if the browser could not tell. */
  measured(/** @type {{width: number, height: number}} */ size) {
    if (!this.#picture || this.#picture.width) return;
    this.#picture.width = size.width;
    this.#picture.height = size.height;
    this.#unseen.hidden = true;
    this.#fit();
  }

  /** @param {string} seen what the answer says of the picture */
  describe(seen) {
    const title = this.#picture?.title ?? "Your picture";
    this.#canvas.setAttribute("aria-label", seen ? `${title}. ${seen}` : title);
  }

  /** @param {Overlay | null} overlay */
  lay(overlay) {
    this.#overlay = overlay;
    this.#tip.hidden = true;
    this.repaint();
  }

  /** Paint the overlay anew. */
  repaint() {
    const context = pen(this.#above);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#above.width, this.#above.height);
    if (!this.#overlay || !this.#picture?.width) return;
    const dots = this.#above.width / this.#picture.width;
    context.setTransform(dots, 0, 0, dots, 0, 0);
    this.#overlay.paint(context, this.#scale);
  }

  /** Give the frame the picture's shape, as large as the view has room for. */
  #fit() {
    const picture = this.#picture;
    if (!picture) return;
    this.#tell(picture);
    this.#frame.hidden = !picture.width;
    if (!picture.width) return;
    const style = getComputedStyle(this.#view);
    const room = {
      width: this.#view.clientWidth - 2 * parseFloat(style.paddingLeft),
      height: this.#view.clientHeight - 2 * parseFloat(style.paddingTop),
    };
    this.#scale = Math.min(room.width / picture.width, room.height / picture.height);
    const width = Math.max(1, Math.round(picture.width * this.#scale));
    const height = Math.max(1, Math.round(picture.height * this.#scale));
    this.#frame.style.width = `${width}px`;
    this.#frame.style.height = `${height}px`;
    const dots = Math.min(window.devicePixelRatio || 1, 2);
    for (const canvas of [this.#canvas, this.#above]) {
      canvas.width = Math.round(width * dots);
      canvas.height = Math.round(height * dots);
    }
    const context = pen(this.#canvas);
    context.imageSmoothingQuality = "high";
    context.imageSmoothingEnabled = this.#scale < 4; // a few large pixels are to be seen as such
    if (picture.preview) context.drawImage(picture.preview, 0, 0, this.#canvas.width, this.#canvas.height);
    this.repaint();
  }

  #tell(/** @type {Picture} */ picture) {
    const size = picture.width ? `${picture.width} × ${picture.height}` : "";
    this.#readout.textContent = [picture.name, size, inBytes(picture.blob.size)].filter(Boolean).join("   ");
  }

  #point(/** @type {PointerEvent} */ event) {
    const box = this.#frame.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const at = { x: x / this.#scale, y: y / this.#scale };
    this.#coordinates.textContent = `x ${Math.floor(at.x)}  y ${Math.floor(at.y)}`;
    const words = this.#overlay?.point?.(at.x, at.y) ?? null;
    this.#tip.hidden = words === null;
    if (words === null) return;
    this.#tip.textContent = words;
    const left = Math.min(x + 14, box.width - this.#tip.offsetWidth);
    this.#tip.style.left = `${Math.max(0, left)}px`;
    this.#tip.style.top = `${y > 40 ? y - 34 : y + 18}px`;
  }

  #leave() {
    this.#coordinates.textContent = "";
    this.#tip.hidden = true;
    this.#overlay?.point?.(NaN, NaN);
  }
}
