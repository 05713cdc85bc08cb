/** Where the time of an answer went. */

import { h } from "./element.js";

/** @typedef {import("./service.js").Spent} Spent */

const TITLES = { queue: "Queue", decode: "Decode", run: "Model", finish: "Finish", way: "Transfer" };

/**
 * @param {Spent} spent
 * @param {string} device
 * @returns {HTMLElement}
 */
export function timings(spent, device) {
  const finish = Math.max(0, spent.total - spent.decode - spent.queue - spent.run);
  const way = Math.max(0, spent.roundTrip - spent.total);
  const parts = { queue: spent.queue, decode: spent.decode, run: spent.run, finish, way };
  const bar = h("div", { class: "timings__bar", "aria-hidden": true });
  const list = h("dl");
  for (const [stage, ms] of Object.entries(parts)) {
    const part = h("div", { class: "timings__part", data: { stage } });
    part.style.width = `${(100 * ms) / Math.max(spent.roundTrip, 0.001)}%`;
    bar.append(part);
    list.append(
      h("div", { data: { stage } }, h("dt", {}, TITLES[/** @type {keyof typeof TITLES} */ (stage)]), h("dd", {}, told(ms))),
    );
  }
  const where = device ? ` on ${device.toUpperCase()}` : "";
  const title = h("h3", { class: "label" }, `Answered in ${told(spent.roundTrip)}${where}`);
  return h("section", { class: "timings" }, title, bar, list);
}

/** @param {number} ms @returns {string} */
function told(ms) {
  return ms < 100 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}
