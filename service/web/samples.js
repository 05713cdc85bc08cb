/** Pictures to begin with. All are drawn here, so none belongs to anyone else. */

import { h, pen } from "./element.js";
import { Picture } from "./picture.js";
import { balloon } from "./sample/balloon.js";
import { bottle } from "./sample/bottle.js";
import { cells } from "./sample/cells.js";
import { clock } from "./sample/clock.js";
import { sea } from "./sample/sea.js";
import { street } from "./sample/street.js";

/** @typedef {(context: CanvasRenderingContext2D, width: number, height: number) => void} Drawing */

/** `model` reads this kind of picture and no other. @type {{name: string, title: string, draw: Drawing, model?: string}[]} */
const SAMPLES = [
  { name: "balloon", title: "Balloon", draw: balloon },
  { name: "clock", title: "Clock", draw: clock },
  { name: "sea", title: "Boat at sea", draw: sea },
  { name: "street", title: "Street", draw: street, model: "camvid" },
  { name: "bottle", title: "Bottle", draw: bottle },
  { name: "cells", title: "Blood cells", draw: cells, model: "bccd" },
];

const WIDTH = 640;
const HEIGHT = 480;

/**
 * @param {HTMLElement} list
 * @param {(picture: Picture, model: string | undefined) => Promise<void>} taken
 * @returns {() => void} call it when another picture is taken
 */
export function samples(list, taken) {
  const buttons = SAMPLES.map((sample) => {
    const face = h("canvas", { class: "sample__face", width: WIDTH / 4, height: HEIGHT / 4, "aria-hidden": true });
    const context = pen(face);
    context.scale(1 / 4, 1 / 4);
    sample.draw(context, WIDTH, HEIGHT);
    const button = h("button", { class: "sample", type: "button", "aria-pressed": false }, face, sample.title);
    button.addEventListener("click", async () => {
      const canvas = h("canvas", { width: WIDTH, height: HEIGHT });
      sample.draw(pen(canvas), WIDTH, HEIGHT);
      const blob = await new Promise((/** @type {BlobCallback} */ done) => canvas.toBlob(done, "image/jpeg", 0.92));
      if (blob) await taken(new Picture(blob, `${sample.name}.jpg`, sample.title), sample.model);
      button.setAttribute("aria-pressed", "true");
    });
    return button;
  });
  list.replaceChildren(...buttons.map((button) => h("li", {}, button)));
  return () => buttons.forEach((button) => button.setAttribute("aria-pressed", "false"));
}
