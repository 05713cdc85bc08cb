/** Controls the tasks share. */

import { h } from "./element.js";

let sliders = 0;

/**
 * A slider that shows its value.
 *
 * @param {string} label
 * @param {{min: number, max: number, step: number, value: number, told?: (value: number) => string}} range
 * @param {(value: number, done: boolean) => void} moved `done` once it is let go
 * @returns {HTMLElement}
 */
export function slider(label, range, moved) {
  const told = range.told ?? String;
  const output = h("output", {}, told(range.value));
  const input = h("input", {
    id: `slider-${(sliders += 1)}`,
    type: "range",
    min: range.min,
    max: range.max,
    step: range.step,
    value: range.value,
    "aria-valuetext": told(range.value),
  });
  const follow = (/** @type {boolean} */ done) => {
    output.textContent = told(input.valueAsNumber);
    input.setAttribute("aria-valuetext", output.textContent);
    moved(input.valueAsNumber, done);
  };
  input.addEventListener("input", () => follow(false));
  input.addEventListener("change", () => follow(true));
  return h("div", { class: "field slider" }, h("label", { htmlFor: input.id }, label), output, input);
}

/**
 * A box to tick.
 *
 * @param {string} label
 * @param {boolean} checked
 * @param {(checked: boolean) => void} changed
 * @returns {HTMLElement}
 */
export function check(label, checked, changed) {
  const input = h("input", { type: "checkbox", checked });
  input.addEventListener("change", () => changed(input.checked));
  return h("label", { class: "check" }, input, label);
}

/**
 * A few things of which one is chosen.
 *
 * @param {HTMLElement} group filled with a button for each
 * @param {Record<string, string>} options labels by value
 * @param {string} chosen
 * @param {(value: string) => void} changed
 */
export function choice(group, options, chosen, changed) {
  const buttons = Object.entries(options).map(([value, label]) =>
    h("button", { type: "button", "aria-pressed": value === chosen, data: { value }, on: { click: () => choose(value) } }, label),
  );
  const choose = (/** @type {string} */ value) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === value));
    changed(value);
  };
  group.replaceChildren(...buttons);
}

/** @param {number} share 0 to 1 @returns {string} */
export function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}
