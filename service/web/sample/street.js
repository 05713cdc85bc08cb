/** A street as a driver sees it. */

import { chance } from "./chance.js";

/** @type {import("../samples.js").Drawing} */
export function street(context, width, height) {
  const horizon = height * 0.5;
  const sky = context.createLinearGradient(0, 0, 0, horizon);
  sky.addColorStop(0, "#c3d0d8");
  sky.addColorStop(1, "#eef1f1");
  context.fillStyle = sky;
  context.fillRect(0, 0, width, horizon);
  const x = width / 2;
  context.fillStyle = "#9a948c";
  context.fillRect(0, horizon, width, height - horizon);
  houses(context, x, horizon, width, -1);
  houses(context, x, horizon, width, 1);
  quad(context, "#55565a", [x - 9, horizon], [x + 9, horizon], [width * 0.88, height], [width * 0.12, height]);
  const next = chance(9);
  for (let grain = 0; grain < 2500; grain += 1) {
    const depth = next();
    context.fillStyle = `rgb(${next() < 0.5 ? "0 0 0" : "255 255 255"} / 0.06)`;
    context.fillRect(x + (next() - 0.5) * width * 0.8 * depth, horizon + depth * (height - horizon), 1 + 3 * depth, 1 + depth);
  }
  for (const [near, far] of [[0.12, 0.18], [0.28, 0.4], [0.55, 0.82]]) {
    const top = horizon + (near ?? 0) * (height - horizon);
    const bottom = horizon + (far ?? 0) * (height - horizon);
    quad(context, "#e8e6dc", [x - 5 * (near ?? 0), top], [x + 5 * (near ?? 0), top], [x + 5 * (far ?? 0), bottom], [x - 5 * (far ?? 0), bottom]);
  }
  tree(context, width * 0.2, height * 0.62, 86, next);
  tree(context, width * 0.74, height * 0.58, 58, next);
  car(context, width * 0.62, height * 0.66, 1.25, "#a32020");
  car(context, width * 0.42, height * 0.55, 0.55, "#2c4468");
}

/** A row of fronts that run to the vanishing point. */
function houses(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ horizon,
  /** @type {number} */ width,
  /** @type {number} */ side,
) {
  const walls = ["#8c6f5c", "#b7a58e", "#7d7f86", "#a1654c", "#c9bfae"];
  walls.forEach((wall, house) => {
    const near = x + side * width * 0.56 * 0.74 ** house;
    const far = x + side * width * 0.56 * 0.74 ** (house + 1);
    const rise = (/** @type {number} */ at) => Math.abs(at - x) * (0.72 + 0.1 * ((house * 7) % 3));
    const fall = (/** @type {number} */ at) => Math.abs(at - x) * 0.3;
    quad(context, wall, [far, horizon - rise(far)], [near, horizon - rise(near)], [near, horizon + fall(near)], [far, horizon + fall(far)]);
    for (let floor = 0; floor < 3; floor += 1) {
      for (let column = 0; column < 3; column += 1) {
        const at = (/** @type {number} */ share) => near + (far - near) * share;
        const [left, right] = [at(0.12 + 0.3 * column), at(0.3 + 0.3 * column)];
        const [top, bottom] = [0.84 - 0.3 * floor, 0.66 - 0.3 * floor];
        quad(context, "#3a424a", [left, horizon - rise(left) * top], [right, horizon - rise(right) * top], [right, horizon - rise(right) * bottom], [left, horizon - rise(left) * bottom]);
      }
    }
  });
}

function tree(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ size,
  /** @type {() => number} */ next,
) {
  context.fillStyle = "#4b3a2c";
  context.fillRect(x - size * 0.06, y - size, size * 0.12, size);
  for (let leaf = 0; leaf < 220; leaf += 1) {
    const angle = next() * 2 * Math.PI;
    const far = Math.sqrt(next()) * size * 0.75;
    context.fillStyle = `rgb(${40 + 40 * next()} ${80 + 60 * next()} ${35 + 20 * next()})`;
    context.beginPath();
    context.arc(x + Math.cos(angle) * far, y - size * 1.35 + Math.sin(angle) * far * 0.9, size * 0.11, 0, 2 * Math.PI);
    context.fill();
  }
}

/** A car from behind, `y` where its wheels stand. */
function car(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ scale,
  /** @type {string} */ colour,
) {
  context.save();
  context.translate(x, y);
  context.scale(scale, scale);
  const parts = /** @type {[string, string][]} */ ([
    ["rgb(0 0 0 / 0.45)", "M-62-4H62L54 8H-54Z"],
    ["#17181a", "M-54-22h22V0h-22ZM32-22h22V0h-22Z"],
    [colour, "M-58-56C-56-64-50-66-46-68L-38-96C-34-104 34-104 38-96L46-68C50-66 56-64 58-56V-18C58-12 54-10 50-10H-50C-54-10-58-12-58-18Z"],
    ["#27323a", "M-38-70L-32-93C-20-97 20-97 32-93L38-70C20-74-20-74-38-70Z"],
    ["#d9402c", "M-57-54h20v12h-20ZM37-54h20v12h-20Z"],
    ["#f2f0d8", "M-18-48h36v13h-36Z"],
    ["rgb(0 0 0 / 0.4)", "M-58-26H58V-16H-58Z"],
  ]);
  for (const [fill, path] of parts) {
    context.fillStyle = fill;
    context.fill(new Path2D(path));
  }
  context.restore();
}

/** @typedef {[number, number]} Point */

function quad(/** @type {CanvasRenderingContext2D} */ context, /** @type {string} */ colour, /** @type {Point[]} */ ...corners) {
  context.fillStyle = colour;
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x, y);
  context.fill();
}
