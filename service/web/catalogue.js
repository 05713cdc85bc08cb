/** The models on offer, and what is told of them. */

import { get } from "./service.js";

/** @typedef {{name: string, version: string, task: string, description: string, precision: string, default: boolean}} Summary */
/** @typedef {Summary & {device: string, manifest: any}} Model */
/** @typedef {{model: string, name: string, title: string, source: string, licence: string, thumbnail: string}} Preset */

/** What the service had to say when the page asked. */
export class Catalogue {
  /** @param {Summary[]} summaries @param {Preset[]} presets */
  constructor(summaries, presets) {
    this.summaries = summaries;
    this.presets = presets;
    /** @type {Map<string, Promise<Model>>} */
    this.details = new Map();
  }

  /**
   * Ask for it.
   *
   * @returns {Promise<Catalogue>}
   * @throws {Problem} 503 while models are loading, or if there is none
   */
  static async load() {
    await get("readyz"); // else some would be missing, or all; it says why
    /** @type {Summary[]} */
    const summaries = await get("models");
    const presets = summaries.some(({ task }) => task === "stylize") ? await get("styles") : [];
    return new Catalogue(summaries, presets);
  }

  /** @param {string} task @returns {Summary[]} the default first */
  of(task) {
    return this.summaries
      .filter((each) => each.task === task)
      .sort((one, other) => Number(other.default) - Number(one.default));
  }

  /**
   * @param {string} name
   * @returns {Promise<Model>}
   * @throws {Problem}
   */
  model(name) {
    const known = this.details.get(name) ?? get(`models/${encodeURIComponent(name)}`);
    this.details.set(name, known);
    known.catch(() => this.details.delete(name));
    return known;
  }

  /**
   * The classifier whose labels are the ten digits.
   *
   * @returns {Promise<string | null>} its name
   */
  async readsDigits() {
    for (const { name } of this.of("classify")) {
      const { manifest } = await this.model(name);
      if (manifest.labels.join() === "0,1,2,3,4,5,6,7,8,9") return name;
    }
    return null;
  }
}
