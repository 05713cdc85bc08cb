/** Detection: boxes over the picture, a list beside it, a threshold that needs no new answer. */

import { colour } from "../colour.js";
import { percent, slider } from "../controls.js";
import { h } from "../element.js";

/** @typedef {import("../bench.js").Task} Task */
/** @typedef {{label: string, index: number, score: number, box: {x_min: number, y_min: number, x_max: number, y_max: number}}} Detection */

/** @implements {Task} */
export class Detect {
  name = "detect";
  title = "Detect";
  about = "where things are";
  field = "file";
  /** @type {Detection[]} */
  #all = [];
  /** @type {Detection[]} */
  #kept = [];
  /** @type {Detection | null} */
  #lit = null;
  /** @type {Detection | null} */
  #pinned = null;
  #list = h("ul", { class: "found", "aria-label": "Objects, surest first" });
  #count = h("p", { class: "count" });
  /** @type {Map<Detection, HTMLButtonElement>} */
  #rows = new Map();

  /** @param {import("../bench.js").Changed} changed */
  constructor(changed) {
    this.changed = changed;
    this.threshold = 0.5;
    this.floor = 0.05;
    /** @type {string | null} */
    this.model = null;
  }

  /** @param {import("../catalogue.js").Model} model */
  settings(model) {
    const { options } = model.manifest;
    this.floor = Number(options.score_threshold);
    if (this.model !== model.name) this.threshold = Number(options.default_threshold);
    this.model = model.name;
    const range = { min: Math.ceil(100 * this.floor) / 100, max: 1, step: 0.01, value: this.threshold, told: (/** @type {number} */ at) => at.toFixed(2) };
    return [
      slider("Threshold", range, (value) => {
        this.threshold = value;
        this.#sift();
        this.changed("view");
      }),
    ];
  }

  /**
   * @param {boolean} sent all the model has is asked for once; what is shown is one threshold of it
   * @returns {[string, string][]}
   */
  query(sent) {
    if (!sent) return [["threshold", String(this.threshold)]];
    return [["threshold", String(this.floor)], ["max_detections", "300"]];
  }

  reading() {
    return { python: ['for found in response.json()["detections"]:', '    print(found["label"], found["score"], found["box"])'], output: "" };
  }

  /** @param {import("../service.js").Reply} reply */
  show(reply) {
    this.#all = reply.json.detections;
    this.#pinned = null;
    this.#sift();
    return {
      nodes: [this.#count, this.#list],
      summary: this.#words(),
      overlay: { paint: this.#paint.bind(this), point: this.#point.bind(this) },
    };
  }

  #words() {
    const count = this.#kept.length;
    if (count) return `${count} ${count === 1 ? "object" : "objects"}`;
    return this.#all.length ? `Nothing at ${this.threshold.toFixed(2)} or above; lower the threshold` : "Nothing found";
  }

  #sift() {
    this.#kept = this.#all.filter(({ score }) => score >= this.threshold);
    this.#count.textContent = this.#words();
    this.#rows = new Map(this.#kept.map((found) => [found, this.#row(found)]));
    this.#list.replaceChildren(...[...this.#rows.values()].map((row) => h("li", {}, row)));
    if (this.#pinned && !this.#rows.has(this.#pinned)) this.#pinned = null;
    this.#light(null);
  }

  #row(/** @type {Detection} */ found) {
    const swatch = h("span", { class: "row__swatch", "aria-hidden": true });
    swatch.style.background = colour(found.index);
    const pin = () => {
      this.#pinned = this.#pinned === found ? null : found;
      this.#light(null);
    };
    return h(
      "button",
      {
        class: "row",
        type: "button",
        "aria-pressed": false,
        on: {
          click: pin,
          focus: () => this.#light(found),
          blur: () => this.#light(null),
          mouseenter: () => this.#light(found),
          mouseleave: () => this.#light(null),
        },
      },
      swatch,
      h("span", { class: "row__label" }, found.label),
      h("span", { class: "row__number" }, percent(found.score)),
    );
  }

  #light(/** @type {Detection | null} */ found) {
    this.#lit = found ?? this.#pinned;
    for (const [each, row] of this.#rows) {
      row.toggleAttribute("data-lit", each === this.#lit);
      row.setAttribute("aria-pressed", String(each === this.#pinned));
    }
    this.changed("paint");
  }

  /** The smallest box that a point is in. */
  #point(/** @type {number} */ x, /** @type {number} */ y) {
    const area = (/** @type {Detection} */ { box }) => (box.x_max - box.x_min) * (box.y_max - box.y_min);
    const [found = null] = this.#kept
      .filter(({ box }) => box.x_min <= x && x <= box.x_max && box.y_min <= y && y <= box.y_max)
      .sort((one, other) => area(one) - area(other));
    if (found !== this.#lit) this.#light(found);
    return found && `${found.label} ${percent(found.score)}`;
  }

  #paint(/** @type {CanvasRenderingContext2D} */ context, /** @type {number} */ scale) {
    const px = 1 / scale;
    const isCrowded = this.#kept.length > 12; // tags would hide what they name; the one pointed at has its
    for (const found of [...this.#kept].reverse()) {
      const { x_min: x, y_min: y, x_max, y_max } = found.box;
      const dim = this.#lit && this.#lit !== found;
      context.globalAlpha = dim ? 0.3 : 1;
      if (this.#lit === found) {
        context.fillStyle = colour(found.index, 0.2);
        context.fillRect(x, y, x_max - x, y_max - y);
      }
      context.lineWidth = 5 * px;
      context.strokeStyle = "rgb(5 10 8 / 0.6)";
      context.strokeRect(x, y, x_max - x, y_max - y);
      context.lineWidth = 2.5 * px;
      context.strokeStyle = colour(found.index);
      context.strokeRect(x, y, x_max - x, y_max - y);
      if (this.#lit === found || (!dim && !isCrowded)) tag(context, found, px);
    }
    context.globalAlpha = 1;
  }
}

/** Write a label above its box, or inside where there is no room above. */
function tag(/** @type {CanvasRenderingContext2D} */ context, /** @type {Detection} */ found, /** @type {number} */ px) {
  context.font = `600 ${13 * px}px sans-serif`;
  context.textBaseline = "middle";
  const words = `${found.label} ${Math.round(100 * found.score)}`;
  const width = context.measureText(words).width + 10 * px;
  const height = 20 * px;
  const x = Math.max(0, found.box.x_min - 1.25 * px);
  const y = found.box.y_min > height ? found.box.y_min - height : found.box.y_min;
  context.fillStyle = colour(found.index);
  context.fillRect(x, y, width, height);
  context.fillStyle = "#0c1210";
  context.fillText(words, x + 5 * px, y + height / 2);
}
