/** A sailing boat at sea. */

import { chance } from "./chance.js";

/** @type {import("../samples.js").Drawing} */
export function sea(context, width, height) {
  const horizon = height * 0.62;
  const sky = context.createLinearGradient(0, 0, 0, horizon);
  sky.addColorStop(0, "#5b93c9");
  sky.addColorStop(1, "#dfe9ee");
  context.fillStyle = sky;
  context.fillRect(0, 0, width, horizon);
  const water = context.createLinearGradient(0, horizon, 0, height);
  water.addColorStop(0, "#6f9db4");
  water.addColorStop(1, "#174a66");
  context.fillStyle = water;
  context.fillRect(0, horizon, width, height - horizon);
  const next = chance(23);
  for (let wave = 0; wave < 900; wave += 1) {
    const depth = next();
    const y = horizon + depth * depth * (height - horizon);
    const length = 4 + 40 * depth * next();
    context.strokeStyle = `rgb(${next() < 0.45 ? "220 238 246" : "10 50 78"} / ${0.1 + 0.25 * next()})`;
    context.lineWidth = 0.6 + 2 * depth;
    context.beginPath();
    const x = next() * width;
    context.moveTo(x, y);
    context.quadraticCurveTo(x + length / 2, y - 3 * depth, x + length, y);
    context.stroke();
  }
  boat(context, width * 0.52, horizon + height * 0.1, height * 0.0036);
}

function boat(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ scale,
) {
  context.save();
  context.translate(x, y);
  context.scale(scale, scale);
  shape(context, "rgb(245 248 248 / 0.35)", "M-58 2C-30 16 40 14 60 2L48 40L-40 36Z");
  shape(context, "#f7f4ea", "M4-168C40-120 62-70 66-24L4-22Z");
  shape(context, "#e6dfcc", "M4-168C16-120 24-70 24-23L4-22Z");
  shape(context, "#eceff0", "M-4-150C-34-100-54-60-62-22L-4-22Z");
  shape(context, "#4a3a2a", "M-2.5-174h5V0h-5Z");
  shape(context, "#b5402f", "M2-174L26-167L2-160Z");
  shape(context, "#1d3a5c", "M-74-16L80-18C72 2 60 10 50 12L-50 12C-64 8-72-2-74-16Z");
  shape(context, "#f1f1ee", "M-74-16L80-18L78-12L-73-10Z");
  shape(context, "#8a5a34", "M-38-26h60v10h-60Z");
  context.restore();
}

function shape(/** @type {CanvasRenderingContext2D} */ context, /** @type {string} */ colour, /** @type {string} */ path) {
  context.fillStyle = colour;
  context.fill(new Path2D(path));
}
