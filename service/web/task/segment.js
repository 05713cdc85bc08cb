/** Segmentation: classes laid over the picture, each to be switched off. */

import { percent, slider } from "../controls.js";
import { h, pen } from "../element.js";
import { stretches } from "../run_lengths.js";

/** Pixels of the longer side that masks are kept in. */
const SIDE = 800;

/** Nearly opaque, as four bytes of an image. */
const WHITE = 0xebffffff;

/** @typedef {import("../bench.js").Task} Task */
/** @typedef {{label: string, index: number, colour: string, pixels: number, share: number, confidence: number, mask: {size: [number, number], counts: string}}} Region */
/** @typedef {{segment: Region, owner: number, shown: boolean}} Layer */

/** @implements {Task} */
export class Segment {
  name = "segment";
  title = "Segment";
  about = "which pixels are what";
  field = "file";
  opacity = 0.55;
  /** @type {Layer[]} */
  #layers = [];
  /** Which layer a pixel of the grid is in, from 1. */
  #owners = new Uint8Array();
  #grid = { width: 1, height: 1, scale: 1 };
  /** The classes that are shown, and a thin line where they meet. */
  #fills = h("canvas");
  #edges = h("canvas");
  /** @type {Layer | null} */
  #lit = null;
  /** @type {Map<Layer, HTMLElement>} */
  #rows = new Map();

  /** @param {import("../bench.js").Changed} changed */
  constructor(changed) {
    this.changed = changed;
  }

  settings() {
    const range = { min: 0, max: 1, step: 0.01, value: this.opacity, told: (/** @type {number} */ at) => `${Math.round(100 * at)}%` };
    return [
      slider("Opacity", range, (value) => {
        this.opacity = value;
        this.changed("paint");
      }),
    ];
  }

  /** @param {boolean} sent @returns {[string, string][]} */
  query(sent) {
    const shown = this.#layers.filter((layer) => layer.shown);
    if (sent || shown.length === this.#layers.length) return [];
    return shown.map(({ segment }) => ["classes", segment.label]);
  }

  reading() {
    return { python: ['for found in response.json()["segments"]:', '    print(found["label"], found["share"], found["box"])'], output: "" };
  }

  /** @param {import("../service.js").Reply} reply */
  show(reply) {
    const { width, height } = reply.json.image;
    const scale = Math.min(1, SIDE / Math.max(width, height));
    this.#grid = { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)), scale };
    this.#owners = new Uint8Array(this.#grid.width * this.#grid.height);
    this.#layers = reply.json.segments.map((/** @type {Region} */ segment, /** @type {number} */ at) => this.#layer(segment, at + 1));
    this.#rows = new Map(this.#layers.map((layer) => [layer, this.#row(layer)]));
    this.#draw();
    const count = this.#layers.length;
    const summary = count
      ? `${count} ${count === 1 ? "class" : "classes"}: ${this.#layers.map(({ segment }) => `${segment.label} ${percent(segment.share)}`).join(", ")}.`
      : "No class but the background.";
    return {
      nodes: [
        h("p", { class: "count" }, count ? `${count} ${count === 1 ? "class" : "classes"}` : "Nothing but background"),
        h("ul", { class: "found", "aria-label": "Classes, largest first" }, ...[...this.#rows.values()].map((row) => h("li", {}, row))),
      ],
      summary,
      overlay: { paint: this.#paint.bind(this), point: this.#point.bind(this) },
    };
  }

  #layer(/** @type {Region} */ segment, /** @type {number} */ owner) {
    const { width, height } = this.#grid;
    stretches(segment.mask, width, height, (x, top, bottom) => {
      for (let at = top * width + x; at < bottom * width; at += width) this.#owners[at] = owner;
    });
    return { segment, owner, shown: true };
  }

  /** Fill the classes that are shown, others than the one that is lit but faintly, and edge them. */
  #draw() {
    const { width, height } = this.#grid;
    for (const canvas of [this.#fills, this.#edges]) Object.assign(canvas, { width, height });
    const fills = new ImageData(width, height);
    const edges = new ImageData(width, height);
    const filled = new Uint32Array(fills.data.buffer);
    const edged = new Uint32Array(edges.data.buffer);
    const colours = new Uint32Array(this.#layers.length + 1);
    for (const layer of this.#layers) {
      if (layer.shown) colours[layer.owner] = packed(layer.segment.colour, this.#lit && this.#lit !== layer ? 90 : 255);
    }
    const owner = (/** @type {number} */ at) => (colours[this.#owners[at] ?? 0] ? this.#owners[at] : 0);
    for (let y = 0, at = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1, at += 1) {
        const here = owner(at);
        filled[at] = colours[here ?? 0] ?? 0;
        if ((x + 1 < width && owner(at + 1) !== here) || (y + 1 < height && owner(at + width) !== here)) edged[at] = WHITE;
      }
    }
    pen(this.#fills).putImageData(fills, 0, 0);
    pen(this.#edges).putImageData(edges, 0, 0);
  }

  #row(/** @type {Layer} */ layer) {
    const { segment } = layer;
    const box = h("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      layer.shown = box.checked;
      this.#lit = layer.shown ? layer : null;
      this.#draw();
      this.changed("view");
    });
    const swatch = h("span", { class: "row__swatch", "aria-hidden": true });
    swatch.style.background = segment.colour;
    const light = (/** @type {Layer | null} */ lit) => () => this.#light(lit);
    box.addEventListener("focus", light(layer));
    box.addEventListener("blur", light(null));
    return h(
      "label",
      { class: "row", on: { mouseenter: light(layer), mouseleave: light(null) } },
      box,
      swatch,
      h("span", { class: "row__label" }, segment.label, h("small", {}, `${percent(segment.confidence)} sure`)),
      h("span", { class: "row__number" }, percent(segment.share)),
    );
  }

  #light(/** @type {Layer | null} */ layer) {
    this.#lit = layer?.shown ? layer : null;
    for (const [each, row] of this.#rows) row.toggleAttribute("data-lit", each === this.#lit);
    this.#draw();
    this.changed("paint");
  }

  #point(/** @type {number} */ x, /** @type {number} */ y) {
    const { width, height, scale } = this.#grid;
    const column = Math.floor(x * scale);
    const row = Math.floor(y * scale);
    const inside = column >= 0 && row >= 0 && column < width && row < height;
    const layer = inside ? this.#layers[(this.#owners[row * width + column] ?? 0) - 1] : undefined;
    const found = layer?.shown ? layer : null;
    if (found !== this.#lit) this.#light(found);
    return found && found.segment.label;
  }

  #paint(/** @type {CanvasRenderingContext2D} */ context) {
    const { width, height, scale } = this.#grid;
    context.scale(1 / scale, 1 / scale);
    context.globalAlpha = this.opacity;
    context.drawImage(this.#fills, 0, 0, width, height);
    context.globalAlpha = Math.min(1, 2 * this.opacity);
    context.drawImage(this.#edges, 0, 0, width, height);
    context.globalAlpha = 1;
  }
}

/** @param {string} colour `#rrggbb` @param {number} alpha 0 to 255 @returns {number} as four bytes of an image */
function packed(colour, alpha) {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
