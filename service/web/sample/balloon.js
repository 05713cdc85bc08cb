/** A hot-air balloon over hills. */

import { chance } from "./chance.js";

/** @type {import("../samples.js").Drawing} */
export function balloon(context, width, height) {
  const sky = context.createLinearGradient(0, 0, 0, height);
  sky.addColorStop(0, "#3f7fc4");
  sky.addColorStop(0.6, "#a8cdec");
  sky.addColorStop(1, "#e9eef0");
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);
  clouds(context, width, height);
  hills(context, width, height);
  envelope(context, width * 0.5, height * 0.38, height * 0.29);
}

/** @type {import("../samples.js").Drawing} */
function clouds(context, width, height) {
  const next = chance(11);
  for (let cloud = 0; cloud < 5; cloud += 1) {
    const x = next() * width;
    const y = next() * height * 0.45;
    for (let puff = 0; puff < 14; puff += 1) {
      const radius = 14 + 26 * next();
      const px = x + (next() - 0.5) * 150;
      const py = y + (next() - 0.5) * 26;
      const glow = context.createRadialGradient(px, py, 0, px, py, radius);
      glow.addColorStop(0, "rgb(255 255 255 / 0.45)");
      glow.addColorStop(1, "rgb(255 255 255 / 0)");
      context.fillStyle = glow;
      context.fillRect(px - radius, py - radius, 2 * radius, 2 * radius);
    }
  }
}

/** @type {import("../samples.js").Drawing} */
function hills(context, width, height) {
  const ranges = [
    { base: 0.8, swing: 0.05, colour: "#7f9fae" },
    { base: 0.86, swing: 0.04, colour: "#5d8468" },
    { base: 0.93, swing: 0.03, colour: "#3c6a3d" },
  ];
  ranges.forEach(({ base, swing, colour }, range) => {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width; x += 4) {
      const wave = Math.sin(x / (70 + 30 * range) + range * 2) + 0.5 * Math.sin(x / 31 + range);
      context.lineTo(x, height * (base + swing * wave * 0.6));
    }
    context.lineTo(width, height);
    context.fill();
  });
}

function envelope(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {number} */ x,
  /** @type {number} */ y,
  /** @type {number} */ radius,
) {
  const neck = y + radius * 1.38;
  context.save();
  context.beginPath();
  context.arc(x, y, radius, Math.PI * 0.92, Math.PI * 0.08);
  context.bezierCurveTo(x + radius * 0.86, y + radius * 0.75, x + radius * 0.3, y + radius, x + radius * 0.16, neck);
  context.lineTo(x - radius * 0.16, neck);
  context.bezierCurveTo(x - radius * 0.3, y + radius, x - radius * 0.86, y + radius * 0.75, x - radius * 0.97, y + radius * 0.25);
  context.clip();
  const colours = ["#c8281e", "#f2b01e", "#1f5fae", "#f2f0e6"];
  const gores = 12;
  for (let gore = 0; gore < gores; gore += 1) {
    const left = Math.cos(Math.PI * (1 - gore / gores));
    const right = Math.cos(Math.PI * (1 - (gore + 1) / gores));
    context.fillStyle = colours[gore % colours.length] ?? "";
    context.beginPath();
    context.moveTo(x, y - radius);
    context.bezierCurveTo(x + left * radius * 1.35, y - radius * 0.9, x + left * radius * 1.2, y + radius * 0.7, x + left * radius * 0.16, neck);
    context.lineTo(x + right * radius * 0.16 + 1, neck);
    context.bezierCurveTo(x + right * radius * 1.2 + 1, y + radius * 0.7, x + right * radius * 1.35 + 1, y - radius * 0.9, x, y - radius);
    context.fill();
  }
  const light = context.createRadialGradient(x - radius * 0.4, y - radius * 0.4, radius * 0.1, x, y, radius * 1.5);
  light.addColorStop(0, "rgb(255 255 255 / 0.35)");
  light.addColorStop(0.5, "rgb(0 0 0 / 0)");
  light.addColorStop(1, "rgb(0 0 0 / 0.5)");
  context.fillStyle = light;
  context.fillRect(x - 2 * radius, y - 2 * radius, 4 * radius, 4 * radius);
  context.restore();

  const basket = neck + radius * 0.3;
  context.strokeStyle = "#3b3128";
  context.lineWidth = 1.5;
  for (const side of [-1, -0.4, 0.4, 1]) {
    context.beginPath();
    context.moveTo(x + side * radius * 0.15, neck);
    context.lineTo(x + side * radius * 0.12, basket);
    context.stroke();
  }
  context.fillStyle = "#7a5230";
  context.fillRect(x - radius * 0.13, basket, radius * 0.26, radius * 0.2);
  context.fillStyle = "#5c3c22";
  context.fillRect(x - radius * 0.14, basket, radius * 0.28, radius * 0.04);
}
