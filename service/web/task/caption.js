/** Captioning: sentences, and where the model looked for each word. */

import { percent } from "../controls.js";
import { h, pen } from "../element.js";

/** @typedef {import("../bench.js").Task} Task */
/** @typedef {{word: string, attention: string}} Word */
/** @typedef {{text: string, score: number, words?: Word[]}} Sentence */

/** @implements {Task} */
export class Caption {
  name = "caption";
  title = "Caption";
  about = "a sentence for it";
  field = "file";
  /** @type {Sentence[]} */
  #captions = [];
  #chosen = 0;
  /** @type {number | null} */
  #word = null;
  /** @type {Map<Word, Promise<HTMLCanvasElement>>} */
  #maps = new Map();
  /** @type {HTMLCanvasElement | null} */
  #map = null;
  #body = h("div", { class: "answer" });
  #size = { width: 1, height: 1 };

  /** @param {import("../bench.js").Changed} changed */
  constructor(changed) {
    this.changed = changed;
    this.most = 1;
    this.attends = false;
  }

  /** @param {import("../catalogue.js").Model} model */
  settings(model) {
    const outputs = model.manifest.graphs.main[model.precision].outputs;
    const shapes = new Map(outputs.map((/** @type {{name: string, shape: number[]}} */ { name, shape }) => [name, shape]));
    this.most = shapes.get("tokens")[1];
    this.attends = shapes.has("attention");
    return [];
  }

  /** @returns {[string, string][]} */
  query() {
    const query = /** @type {[string, string][]} */ ([["num_captions", String(this.most)]]);
    return this.attends ? [...query, ["attention", "true"]] : query;
  }

  reading() {
    return { python: ['for found in response.json()["captions"]:', '    print(found["text"], found["score"])'], output: "" };
  }

  /** @param {import("../service.js").Reply} reply */
  show(reply) {
    this.#captions = reply.json.captions;
    this.#size = reply.json.image;
    this.#maps = new Map();
    this.#map = this.#word = null;
    this.#choose(0);
    const summary = this.#captions[0]?.text ?? "The model found no sentence.";
    return { nodes: [this.#body], summary, overlay: { paint: this.#paint.bind(this) } };
  }

  #choose(/** @type {number} */ at) {
    this.#chosen = at;
    const caption = this.#captions[at];
    if (!caption) {
      this.#body.replaceChildren(h("p", { class: "count" }, "No sentence found"));
      return;
    }
    const words = caption.words ?? [];
    const rows = this.#captions.map(({ text, score }, index) =>
      h(
        "button",
        { class: "row", type: "button", "aria-pressed": index === at, on: { click: () => this.#switch(index) } },
        h("span", { class: "row__number", "aria-hidden": true }, String(index + 1)),
        h("span", { class: "row__label" }, text),
        h("span", { class: "row__number" }, percent(score)),
      ),
    );
    this.#body.replaceChildren(
      h("p", { class: "sentence" }, caption.text),
      ...(words.length
        ? [
            h("h3", { class: "label", id: "words-title" }, "Where it looked, word by word"),
            h("div", { class: "words", role: "group", "aria-labelledby": "words-title" }, ...words.map((word, index) => this.#button(word, index))),
          ]
        : [h("p", { class: "hush" }, "This model does not tell where it looks.")]),
      h("h3", { class: "label", id: "captions-title" }, "All it would say, surest first"),
      h("ul", { class: "found", "aria-labelledby": "captions-title" }, ...rows.map((row) => h("li", {}, row))),
    );
  }

  #switch(/** @type {number} */ at) {
    this.#look(null);
    this.#choose(at);
    this.#body.querySelectorAll("button.row")[at]?.dispatchEvent(new Event("focus"));
    const row = this.#body.querySelectorAll("button.row")[at];
    if (row instanceof HTMLElement) row.focus();
  }

  #button(/** @type {Word} */ word, /** @type {number} */ at) {
    return h(
      "button",
      {
        class: "word",
        type: "button",
        "aria-pressed": false,
        on: {
          click: () => this.#look(this.#word === at ? null : at),
          mouseenter: () => this.#peek(word),
          mouseleave: () => this.#look(this.#word),
        },
      },
      word.word,
    );
  }

  #look(/** @type {number | null} */ at) {
    this.#word = at;
    this.#body.querySelectorAll(".word").forEach((button, index) => button.setAttribute("aria-pressed", String(index === at)));
    const word = at === null ? undefined : this.#captions[this.#chosen]?.words?.[at];
    if (word) this.#peek(word);
    else {
      this.#wanted = null;
      this.#map = null;
      this.changed("paint");
    }
  }

  /** @type {Word | null} */
  #wanted = null;

  async #peek(/** @type {Word} */ word) {
    this.#wanted = word;
    const map = this.#maps.get(word) ?? shade(word.attention);
    this.#maps.set(word, map);
    const read = await map;
    if (this.#wanted !== word) return; // another was asked for meanwhile
    this.#map = read;
    this.changed("paint");
  }

  #paint(/** @type {CanvasRenderingContext2D} */ context) {
    if (!this.#map) return;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#map, 0, 0, this.#size.width, this.#size.height);
  }
}

/**
 * A shade that is thin where the model looked.
 *
 * @param {string} attention base64 of a grey PNG
 * @returns {Promise<HTMLCanvasElement>}
 */
async function shade(attention) {
  const bytes = Uint8Array.from(atob(attention), (character) => character.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height });
  const context = pen(canvas);
  context.drawImage(bitmap, 0, 0);
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < image.data.length; at += 4) {
    const weight = (image.data[at] ?? 0) / 255;
    image.data.set([6, 12, 10, 255 * 0.78 * (1 - weight) ** 1.4], at);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
