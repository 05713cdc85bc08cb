/** A problem, shown in words, with what can be done about it. */

import { h } from "./element.js";

/**
 * @param {import("./problem.js").Problem} problem
 * @param {{label: string, act: () => void}[]} actions the first is held back for as long as the
 *   service asks for
 * @returns {HTMLElement}
 */
export function notice(problem, actions) {
  const buttons = actions.map(({ label, act }) => h("button", { class: "button", type: "button", on: { click: act } }, label));
  if (problem.retryAfterS && buttons[0]) holdBack(buttons[0], problem.retryAfterS);
  return h(
    "div",
    { class: "notice", role: "alert" },
    h("h3", {}, problem.title),
    h("p", {}, problem.message),
    problem.advice ? h("p", {}, problem.advice) : null,
    problem.status ? h("p", { class: "notice__status" }, `HTTP ${problem.status}`) : null,
    buttons.length ? h("div", { class: "notice__actions" }, ...buttons) : null,
  );
}

/** @param {HTMLButtonElement} button @param {number} seconds */
function holdBack(button, seconds) {
  const label = button.textContent;
  const until = performance.now() + seconds * 1000;
  button.disabled = true;
  const tick = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? `${label} in ${left} s` : label;
    if (left > 0 && (button.isConnected || left === seconds)) setTimeout(tick, 200);
  };
  tick();
}
