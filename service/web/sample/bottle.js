/** A bottle of wine on a table. */

/** @type {import("../samples.js").Drawing} */
export function bottle(context, width, height) {
  const wall = context.createLinearGradient(0, 0, width, 0);
  wall.addColorStop(0, "#d9cfc2");
  wall.addColorStop(1, "#a99c8c");
  context.fillStyle = wall;
  context.fillRect(0, 0, width, height);
  const table = context.createLinearGradient(0, height * 0.78, 0, height);
  table.addColorStop(0, "#8a5c38");
  table.addColorStop(1, "#5b3a20");
  context.fillStyle = table;
  context.fillRect(0, height * 0.78, width, height * 0.22);

  context.save();
  context.translate(width / 2, height * 0.9);
  const shadow = context.createRadialGradient(40, 0, 5, 40, 0, 130);
  shadow.addColorStop(0, "rgb(20 10 0 / 0.6)");
  shadow.addColorStop(1, "rgb(20 10 0 / 0)");
  context.save();
  context.scale(1, 0.18);
  context.fillStyle = shadow;
  context.fillRect(-140, -140, 320, 280);
  context.restore();

  const body = new Path2D("M-62 0C-66-4-66-10-66-16V-210C-66-262-27-262-25-306V-392H25V-306C27-262 66-262 66-210V-16C66-10 66-4 62 0Z");
  const glass = context.createLinearGradient(-66, 0, 66, 0);
  glass.addColorStop(0, "#0d1f14");
  glass.addColorStop(0.18, "#2f5a3c");
  glass.addColorStop(0.3, "#16301f");
  glass.addColorStop(0.75, "#0e2216");
  glass.addColorStop(0.93, "#3a6b49");
  glass.addColorStop(1, "#0b1810");
  context.fillStyle = glass;
  context.fill(body);
  context.fillStyle = "#5e1420";
  context.fillRect(-27, -400, 54, 74);
  context.fillStyle = "#7c2331";
  context.fillRect(-27, -400, 16, 74);
  context.fillStyle = "#f0e6cf";
  context.fillRect(-65, -176, 130, 116);
  context.strokeStyle = "#9b7b3a";
  context.lineWidth = 3;
  context.strokeRect(-57, -168, 114, 100);
  context.fillStyle = "#3b2a1a";
  context.textAlign = "center";
  context.font = "italic 600 26px serif";
  context.fillText("Horizon", 0, -124);
  context.font = "13px serif";
  context.fillText("RED TABLE WINE", 0, -98);
  context.fillText("1998", 0, -80);
  context.fillStyle = "rgb(255 255 255 / 0.22)";
  context.fill(new Path2D("M-52-205C-52-240-16-256-14-300V-320H-8V-300C-10-250-40-236-42-205V-20H-52Z"));
  context.restore();
}
