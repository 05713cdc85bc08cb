/** Style transfer: presets and own pictures, how strong, and the result wiped over the original. */

import { check, slider } from "../controls.js";
import { h } from "../element.js";
import { Picture } from "../picture.js";

/** @typedef {import("../bench.js").Task} Task */
/** @typedef {{name: string, title: string, weight: number, picture: Picture | null, button: HTMLButtonElement}} Style */

/** @implements {Task} */
export class Stylize {
  name = "stylize";
  title = "Stylize";
  about = "as if painted";
  field = "content";
  accept = "image/jpeg";
  alpha = 1;
  preserve = false;
  /** How much of the result covers the original. */
  #wipe = 1;
  /** @type {Style[]} in the order they were chosen */
  #chosen = [];
  /** @type {ImageBitmap | null} */
  #result = null;
  #size = { width: 1, height: 1 };
  #mix = h("div", { class: "mix" });
  #grid = h("ul", { class: "styles", "aria-label": "Styles; several are mixed" });
  #url = "";

  /**
   * @param {import("../bench.js").Changed} changed
   * @param {() => import("../catalogue.js").Preset[]} presets
   */
  constructor(changed, presets) {
    this.changed = changed;
    this.presets = presets;
  }

  /** @param {import("../catalogue.js").Model} model */
  settings(model) {
    const presets = this.presets().filter((preset) => preset.model === model.name);
    const own = this.#chosen.filter(({ picture }) => picture);
    this.#chosen = own;
    const file = h("input", { type: "file", accept: "image/*", multiple: true, hidden: true, "aria-label": "Style pictures" });
    file.addEventListener("change", () => {
      for (const each of file.files ?? []) this.#add(new Picture(each, each.name));
      file.value = "";
    });
    this.#grid.replaceChildren(
      ...presets.map((preset) => h("li", {}, this.#preset(preset))),
      ...own.map(({ button }) => h("li", {}, button)),
    );
    this.#weigh();
    return [
      h("h3", { class: "label" }, "Style"),
      this.#grid,
      h("div", { class: "actions" }, h("button", { class: "button", type: "button", on: { click: () => file.click() } }, "Add your own style"), file),
      this.#mix,
      slider("Strength", { min: 0, max: 1, step: 0.05, value: this.alpha, told: (at) => `${Math.round(100 * at)}%` }, (value, done) => {
        this.alpha = value;
        if (done) this.changed("again");
      }),
      check("Keep the picture's colours", this.preserve, (checked) => {
        this.preserve = checked;
        this.changed("again");
      }),
    ];
  }

  /** What is still to be done before there is something to ask for, in words. */
  missing() {
    return this.#chosen.length ? "" : "Choose a style, or add a picture whose style you like.";
  }

  /** @returns {[string, string][]} */
  query() {
    const weigh = this.#chosen.length > 1;
    return [
      ...this.#chosen.filter(({ picture }) => !picture).map(({ name, weight }) => pair("style", weigh ? `${name}:${weight}` : name)),
      ...(weigh ? this.#chosen.filter(({ picture }) => picture).map(({ weight }) => pair("style_weight", String(weight))) : []),
      pair("alpha", String(this.alpha)),
      ...(this.preserve ? [pair("preserve_color", "true")] : []),
    ];
  }

  companions() {
    return this.#chosen.flatMap(({ picture }) => (picture ? [{ field: "style", name: picture.name, blob: picture.blob }] : []));
  }

  reading() {
    return { python: ['with open("styled.jpg", "wb") as file:', "    file.write(response.content)"], output: "styled.jpg" };
  }

  /**
   * @param {import("../service.js").Reply} reply
   * @param {Picture} content
   */
  async show(reply, content) {
    const blob = reply.picture ?? new Blob();
    this.#result = await createImageBitmap(blob);
    this.#size = content.width ? { width: content.width, height: content.height } : { width: this.#result.width, height: this.#result.height };
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(blob);
    const { width, height } = this.#result;
    const titles = this.#chosen.map(({ title }) => title).join(" and ");
    return {
      nodes: [
        h("p", { class: "count" }, `In the style of ${titles}`),
        slider("How much of the result covers the original", { min: 0, max: 1, step: 0.01, value: this.#wipe, told: (at) => `${Math.round(100 * at)}%` }, (value) => {
          this.#wipe = value;
          this.changed("paint");
        }),
        h("div", { class: "actions" }, h("a", { class: "button", href: this.#url, download: "styled.jpg" }, `Save result, ${width} × ${height}`)),
      ],
      summary: `The picture in the style of ${titles}.`,
      size: this.#size,
      overlay: { paint: this.#paint.bind(this) },
    };
  }

  #preset(/** @type {import("../catalogue.js").Preset} */ preset) {
    const face = h("img", { alt: "", src: faceOf(preset.thumbnail) });
    const button = h(
      "button",
      { class: "style", type: "button", "aria-pressed": false, title: `${preset.source}, ${preset.licence}` },
      face,
      preset.title,
    );
    const style = { name: preset.name, title: preset.title, weight: 1, picture: null, button };
    button.addEventListener("click", () => this.#toggle(style));
    return button;
  }

  #add(/** @type {Picture} */ picture) {
    const face = h("img", { alt: "", src: URL.createObjectURL(picture.blob) });
    const button = h("button", { class: "style", type: "button", "aria-pressed": false }, face, picture.name);
    const style = { name: picture.name, title: picture.title, weight: 1, picture, button };
    button.addEventListener("click", () => this.#toggle(style));
    this.#grid.append(h("li", {}, button));
    this.#toggle(style);
  }

  #toggle(/** @type {Style} */ style) {
    const at = this.#chosen.indexOf(style);
    if (at < 0) this.#chosen.push(style);
    else this.#chosen.splice(at, 1);
    style.button.setAttribute("aria-pressed", String(at < 0));
    this.#weigh();
    this.changed("again");
  }

  #weigh() {
    const several = this.#chosen.length > 1;
    this.#mix.hidden = !several;
    this.#mix.replaceChildren(
      ...(several ? this.#chosen : []).map((style) =>
        slider(`Weight of ${style.title}`, { min: 0.1, max: 2, step: 0.1, value: style.weight }, (value, done) => {
          style.weight = value;
          if (done) this.changed("again");
        }),
      ),
    );
  }

  #paint(/** @type {CanvasRenderingContext2D} */ context, /** @type {number} */ scale) {
    if (!this.#result || !this.#wipe) return;
    const { width, height } = this.#size;
    const edge = width * this.#wipe;
    context.save();
    context.beginPath();
    context.rect(0, 0, edge, height);
    context.clip();
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#result, 0, 0, width, height);
    context.restore();
    if (this.#wipe === 1) return;
    context.fillStyle = "#ff6a3d";
    context.fillRect(edge - 1 / scale, 0, 2 / scale, height);
  }
}

/** @param {string} name @param {string} value @returns {[string, string]} */
function pair(name, value) {
  return [name, value];
}

/** @param {string} thumbnail base64 of a JPEG @returns {string} an address of it */
function faceOf(thumbnail) {
  const bytes = Uint8Array.from(atob(thumbnail), (character) => character.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
}
