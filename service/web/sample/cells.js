/** A stained blood smear: red cells, a white one, platelets. */

import { chance } from "./chance.js";

/** @type {import("../samples.js").Drawing} */
export function cells(context, width, height) {
  context.fillStyle = "#e9dfd8";
  context.fillRect(0, 0, width, height);
  const next = chance(42);
  /** @type {[number, number, number][]} */
  const placed = [[width * 0.6, height * 0.46, 86]];
  for (let attempt = 0; attempt < 900 && placed.length < 26; attempt += 1) {
    const radius = 37 + 7 * next();
    const x = next() * width;
    const y = next() * height;
    if (placed.every(([px, py, other]) => Math.hypot(x - px, y - py) > (radius + other) * 0.94)) placed.push([x, y, radius]);
  }
  for (const [x, y, radius] of placed.slice(1)) red(context, x, y, radius, next);
  white(context, width * 0.6, height * 0.46, 80, next);
  for (const [x, y] of [[0.3, 0.2], [0.86, 0.78], [0.34, 0.74]]) platelet(context, (x ?? 0) * width, (y ?? 0) * height, 11, next);
  context.fillStyle = "rgb(255 240 225 / 0.1)";
  context.fillRect(0, 0, width, height);
}

/** A disc that is paler in its middle. */
function red(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ radius,
  /** @type {() => number} */ next,
) {
  const tone = context.createRadialGradient(x + 3, y + 2, radius * 0.1, x, y, radius);
  tone.addColorStop(0, "#e3cdc6");
  tone.addColorStop(0.35, "#d9b3ab");
  tone.addColorStop(0.75, "#c9938c");
  tone.addColorStop(1, "#bd837f");
  context.fillStyle = tone;
  context.beginPath();
  context.ellipse(x, y, radius, radius * (0.9 + 0.1 * next()), next() * Math.PI, 0, 2 * Math.PI);
  context.fill();
  context.strokeStyle = "rgb(150 95 95 / 0.5)";
  context.lineWidth = 1.5;
  context.stroke();
}

/** A pale body with a dark nucleus of several lobes. */
function white(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ radius,
  /** @type {() => number} */ next,
) {
  const body = context.createRadialGradient(x, y, radius * 0.2, x, y, radius);
  body.addColorStop(0, "#c9b6d3");
  body.addColorStop(1, "#d8cbdb");
  context.fillStyle = body;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
  for (const [dx, dy, size] of [[-0.32, -0.2, 0.42], [0.24, -0.3, 0.4], [0.1, 0.3, 0.44], [-0.05, 0, 0.35]]) {
    const px = x + (dx ?? 0) * radius;
    const py = y + (dy ?? 0) * radius;
    const lobe = context.createRadialGradient(px, py, 2, px, py, radius * (size ?? 0));
    lobe.addColorStop(0, "#5a3180");
    lobe.addColorStop(0.8, "#6b4394");
    lobe.addColorStop(1, "#8a68ad");
    context.fillStyle = lobe;
    context.beginPath();
    context.arc(px, py, radius * (size ?? 0), 0, 2 * Math.PI);
    context.fill();
  }
  for (let grain = 0; grain < 160; grain += 1) {
    const angle = next() * 2 * Math.PI;
    const far = Math.sqrt(next()) * radius * 0.95;
    context.fillStyle = "rgb(100 60 140 / 0.3)";
    context.fillRect(x + Math.cos(angle) * far, y + Math.sin(angle) * far, 2.5, 2.5);
  }
}

function platelet(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ radius,
  /** @type {() => number} */ next,
) {
  for (let grain = 0; grain < 26; grain += 1) {
    const angle = next() * 2 * Math.PI;
    const far = next() * radius;
    context.fillStyle = `rgb(${95 + 40 * next()} 60 ${140 + 30 * next()} / 0.55)`;
    context.beginPath();
    context.arc(x + Math.cos(angle) * far, y + Math.sin(angle) * far, 4, 0, 2 * Math.PI);
    context.fill();
  }
}
