/** A sheet to draw a digit on, with a pen that arrow keys move as well. */

import { byId, pen } from "./element.js";
import { Picture } from "./picture.js";

const STEP = 12;

/** @param {(picture: Picture) => void} taken */
export function sketch(taken) {
  const dialog = byId("draw-dialog", HTMLDialogElement);
  const sheet = byId("sketch", HTMLCanvasElement);
  const words = byId("sketch-words", HTMLElement);
  const use = byId("draw-use", HTMLButtonElement);
  const context = pen(sheet);
  let at = { x: sheet.width / 2, y: sheet.height / 4 };
  let isDown = false;

  function clear() {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, sheet.width, sheet.height);
    Object.assign(context, { strokeStyle: "#10201a", lineWidth: 24, lineCap: "round", lineJoin: "round" });
    at = { x: sheet.width / 2, y: sheet.height / 4 };
    isDown = false;
    use.disabled = true;
    words.textContent = "";
  }

  function draw(/** @type {{x: number, y: number}} */ to) {
    context.beginPath();
    context.moveTo(at.x, at.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    at = to;
    use.disabled = false;
  }

  function place(/** @type {PointerEvent} */ event) {
    const box = sheet.getBoundingClientRect();
    const scale = sheet.width / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  }

  sheet.addEventListener("pointerdown", (event) => {
    sheet.setPointerCapture(event.pointerId);
    at = place(event);
    isDown = true;
    draw(at);
  });
  sheet.addEventListener("pointermove", (event) => {
    if (isDown && sheet.hasPointerCapture(event.pointerId)) draw(place(event));
  });
  sheet.addEventListener("pointerup", () => (isDown = false));
  sheet.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!by && event.key !== " ") return;
    event.preventDefault();
    if (!by) {
      isDown = !isDown;
      if (isDown) draw(at);
    } else {
      const inside = (/** @type {number} */ value) => Math.min(sheet.width - STEP, Math.max(STEP, value));
      const to = { x: inside(at.x + STEP * (by[0] ?? 0)), y: inside(at.y + STEP * (by[1] ?? 0)) };
      if (isDown) draw(to);
      else at = to;
    }
    words.textContent = `Pen ${isDown ? "down" : "up"}, ${Math.round((100 * at.x) / sheet.width)}% across, ${Math.round((100 * at.y) / sheet.height)}% down`;
  });

  byId("draw", HTMLButtonElement).addEventListener("click", () => {
    clear();
    dialog.showModal();
    sheet.focus();
  });
  byId("draw-close", HTMLButtonElement).addEventListener("click", () => dialog.close());
  byId("draw-clear", HTMLButtonElement).addEventListener("click", clear);
  use.addEventListener("click", () =>
    sheet.toBlob((blob) => {
      dialog.close();
      if (blob) taken(new Picture(blob, "digit.png", "A drawn digit"));
    }),
  );
}
