/** Classification: bars. */

import { percent, slider } from "../controls.js";
import { h } from "../element.js";

/** @typedef {import("../bench.js").Task} Task */

/** @implements {Task} */
export class Classify {
  name = "classify";
  title = "Classify";
  about = "what it shows";
  field = "file";
  /** @param {import("../bench.js").Changed} changed */
  constructor(changed) {
    this.changed = changed;
    this.most = 5;
  }

  /** @param {import("../catalogue.js").Model} model */
  settings(model) {
    const max = Math.min(20, model.manifest.labels.length);
    this.most = Math.min(this.most, max);
    const range = { min: 1, max, step: 1, value: this.most };
    return [
      slider("Most labels", range, (value, done) => {
        this.most = value;
        if (done) this.changed("again");
      }),
    ];
  }

  /** @returns {[string, string][]} */
  query() {
    return [["top_k", String(this.most)]];
  }

  reading() {
    return { python: ['for found in response.json()["predictions"]:', '    print(found["label"], found["score"])'], output: "" };
  }

  /** @param {import("../service.js").Reply} reply */
  show(reply) {
    const bars = reply.json.predictions.map((/** @type {{label: string, score: number}} */ { label, score }) => {
      const fill = h("div", { class: "bar__fill" });
      fill.style.width = `${100 * score}%`;
      return h(
        "li",
        { class: "bar" },
        h("span", { class: "bar__label" }, label),
        h("span", { class: "bar__score" }, percent(score)),
        h("div", { class: "bar__track", "aria-hidden": true }, fill),
      );
    });
    const [best] = reply.json.predictions;
    const summary = best ? `Most likely ${best.label}, ${percent(best.score)}.` : "No label is likely enough.";
    return { nodes: [h("ol", { class: "bars", "aria-label": "Labels, most likely first" }, ...bars)], summary, overlay: null };
  }
}
