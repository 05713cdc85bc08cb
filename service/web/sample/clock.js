/** A round clock on a wall. */

import { chance } from "./chance.js";

/** @type {import("../samples.js").Drawing} */
export function clock(context, width, height) {
  const wall = context.createLinearGradient(0, 0, width, height);
  wall.addColorStop(0, "#cbb692");
  wall.addColorStop(1, "#97805c");
  context.fillStyle = wall;
  context.fillRect(0, 0, width, height);
  const next = chance(5);
  for (let grain = 0; grain < 2600; grain += 1) {
    context.fillStyle = `rgb(${next() < 0.5 ? "0 0 0" : "255 255 255"} / 0.05)`;
    context.fillRect(next() * width, next() * height, 1 + 3 * next(), 1 + 3 * next());
  }

  const x = width / 2;
  const y = height / 2;
  const radius = height * 0.4;
  context.save();
  context.shadowColor = "rgb(0 0 0 / 0.5)";
  Object.assign(context, { shadowBlur: 26, shadowOffsetX: 10, shadowOffsetY: 14 });
  disc(context, x, y, radius, "#2b2a28");
  context.restore();
  disc(context, x, y, radius * 0.93, "#8d8b86");
  disc(context, x, y, radius * 0.9, "#f5f2ea");

  context.fillStyle = context.strokeStyle = "#1c1b1a";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = `600 ${radius * 0.2}px serif`;
  for (let minute = 0; minute < 60; minute += 1) {
    const angle = (minute * Math.PI) / 30;
    const isHour = minute % 5 === 0;
    context.lineWidth = isHour ? 5 : 2;
    ray(context, x, y, angle, radius * (isHour ? 0.78 : 0.82), radius * 0.86);
    if (isHour) context.fillText(String(minute / 5 || 12), x + Math.sin(angle) * radius * 0.65, y - Math.cos(angle) * radius * 0.65);
  }
  context.lineCap = "round";
  context.lineWidth = 9;
  ray(context, x, y, (Math.PI * (10 + 9 / 60)) / 6, -radius * 0.08, radius * 0.45);
  context.lineWidth = 6;
  ray(context, x, y, (Math.PI * 9) / 30, -radius * 0.1, radius * 0.68);
  context.strokeStyle = "#b3261e";
  context.lineWidth = 2.5;
  ray(context, x, y, (Math.PI * 34) / 30, -radius * 0.16, radius * 0.74);
  disc(context, x, y, 7, "#b3261e");
}

function disc(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ radius,
  /** @type {string} */ colour,
) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** A stroke along an angle from 12 o'clock on. */
function ray(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ angle,
  /** @type {number} */ from,
  /** @type {number} */ to,
) {
  context.beginPath();
  context.moveTo(x + Math.sin(angle) * from, y - Math.cos(angle) * from);
  context.lineTo(x + Math.sin(angle) * to, y - Math.cos(angle) * to);
  context.stroke();
}
