/** Tabs as the ARIA authoring practices describe them: one stop for Tab, arrows go along. */

import { h } from "./element.js";

/**
 * @param {HTMLElement} list
 * @param {{name: string, title: string, about: string}[]} tabs
 * @param {(name: string) => void} chosen
 * @returns {{choose: (name: string) => void}}
 */
export function tabs(list, tabs, chosen) {
  const buttons = tabs.map(({ name, title, about }) =>
    h(
      "button",
      {
        class: "tab",
        type: "button",
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": `panel-${name}`,
        data: { name },
        on: { click: () => choose(name) },
      },
      h("b", {}, title),
      h("span", { "aria-hidden": true }, about),
    ),
  );
  list.replaceChildren(...buttons);

  /** @param {string} name */
  function choose(name) {
    for (const button of buttons) {
      const selected = button.dataset.name === name;
      button.setAttribute("aria-selected", String(selected));
      button.tabIndex = selected ? 0 : -1;
    }
    chosen(name);
  }

  list.addEventListener("keydown", (event) => {
    const at = buttons.findIndex((button) => button === document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const next = buttons[(to + buttons.length) % buttons.length];
    next?.focus();
    choose(next?.dataset.name ?? "");
  });
  return { choose };
}
