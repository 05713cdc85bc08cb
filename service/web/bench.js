/** One task's panel: picks a model, asks it, shows what came of it. */

import { authorization } from "./key.js";
import { h } from "./element.js";
import { notice } from "./notice.js";
import { inBytes } from "./picture.js";
import { Problem } from "./problem.js";
import { address, send } from "./service.js";
import { timings } from "./timings.js";

/** @typedef {import("./catalogue.js").Catalogue} Catalogue */
/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./service.js").Call} Call */
/** @typedef {import("./service.js").Reply} Reply */

/** What a change asks for: another answer, the same answer told anew, only the overlay painted. */
/** @typedef {(need: "again" | "view" | "paint") => void} Changed */

/**
 * @typedef {object} Shown
 * @property {Node[]} nodes
 * @property {string} summary for those who hear the page
 * @property {import("./stage.js").Overlay | null} overlay
 * @property {{width: number, height: number}} [size] of the picture, where the answer does not tell
 */

/**
 * What differs from task to task.
 *
 * @typedef {object} Task
 * @property {string} name also the path
 * @property {string} title
 * @property {string} about
 * @property {string} field of the form that the picture goes in
 * @property {string} [accept]
 * @property {(model: Model) => HTMLElement[]} settings
 * @property {(sent: boolean) => [string, string][]} query as it is sent, or as it would give what is on screen
 * @property {() => import("./call.js").Reading} reading
 * @property {() => string} [missing]
 * @property {() => Call["files"]} [companions]
 * @property {(reply: Reply, picture: Picture) => Shown | Promise<Shown>} show
 */

/**
 * The rest of the page, as a bench sees it.
 *
 * @typedef {object} Surroundings
 * @property {import("./stage.js").Stage} stage
 * @property {{max_body_bytes: number}} limits
 * @property {(words: string) => void} announce
 * @property {() => void} called the call on screen has changed
 * @property {() => void} askKey
 * @property {() => void} choose another picture
 * @property {(picture: Picture) => void} replace the picture by another
 */

export class Bench {
  #picker = h("select", { on: { change: () => this.#pick((this.#own = this.#picker.value)) } });
  #about = h("p", { class: "model__about" });
  #settings = h("div", { class: "settings" });
  #answer = h("div", { class: "answer" });
  #spent = h("div");
  /** @type {Model | null} */
  #model = null;
  /** @type {Picture | null} */
  #picture = null;
  /** @type {AbortController | null} */
  #asking = null;
  /** What was last asked, so that coming back to a tab does not ask again. */
  #asked = "";
  /** @type {Shown | null} */
  #shown = null;
  #isOpen = false;
  /** The model that is being asked about. @type {string | null} */
  #wish = null;
  /** The model a person chose; the default, if none did. */
  #own = "";

  /**
   * @param {Task} task
   * @param {Surroundings} around
   */
  constructor(task, around) {
    this.task = task;
    this.around = around;
    this.element = h("section", {
      class: "panel",
      role: "tabpanel",
      id: `panel-${task.name}`,
      "aria-labelledby": `tab-${task.name}`,
      tabIndex: 0,
      hidden: true,
    });
    this.#clear();
  }

  /** @param {Catalogue} catalogue */
  async equip(catalogue) {
    this.catalogue = catalogue;
    const models = catalogue.of(this.task.name);
    if (!models.length) {
      this.#model = null;
      this.element.replaceChildren(
        h("p", { class: "count" }, `No model for ${this.task.name} yet`),
        h("p", { class: "hush" }, "This service has none in its models folder. The README says how to train one or bring your own; the page shows it after the next start."),
      );
      return;
    }
    this.#picker.replaceChildren(...models.map(({ name, version, precision }) => h("option", { value: name }, `${name}, version ${version}, ${precision}`)));
    this.element.replaceChildren(
      h("div", {}, h("label", { class: "field" }, h("span", {}, "Model"), this.#picker), this.#about),
      this.#settings,
      this.#answer,
      this.#spent,
    );
    this.#own = models.find(({ name }) => name === this.#own)?.name ?? models[0]?.name ?? "";
    this.#picker.value = this.#own;
    await this.#pick(this.#own);
  }

  /**
   * Turn to the model that a picture is for, if the task has it.
   *
   * @param {string} [wanted] without it, back to the one a person chose
   */
  async prefer(wanted) {
    const name = wanted ?? this.#own;
    if (this.#model?.name === name) return;
    if (!this.catalogue?.of(this.task.name).some((each) => each.name === name)) return;
    this.#picker.value = name;
    await this.#pick(name);
  }

  /** @param {Picture | null} picture */
  take(picture) {
    if (this.#picture === picture) return;
    this.#asking?.abort();
    this.#picture = picture;
    this.#asked = "";
    this.#clear();
    if (this.#isOpen) this.ask();
  }

  open() {
    this.#isOpen = true;
    this.element.hidden = false;
    this.around.stage.lay(this.#shown?.overlay ?? null);
    this.around.stage.describe(this.#shown?.summary ?? "");
    this.ask();
    this.around.called();
  }

  close() {
    this.#isOpen = false;
    this.element.hidden = true;
  }

  /** The call that gives what is on screen; null where there is no model. */
  get call() {
    return this.#model && this.#callOf(false);
  }

  /** @type {Changed} */
  changed = (need) => {
    if (need === "again") this.ask();
    if (need !== "paint") this.around.called();
    if (this.#isOpen) this.around.stage.repaint();
  };

  /** Ask the model, unless it has been asked just this. */
  async ask() {
    const picture = this.#picture;
    const missing = picture ? (this.task.missing?.() ?? "") : "";
    if (!picture || !this.#model || !this.#isOpen) return;
    if (missing) {
      this.#asking?.abort();
      this.#asked = "";
      this.#clear(missing);
      return;
    }
    const call = this.#callOf(true);
    const question = JSON.stringify([address(call.path, call.query), call.files.map(({ field, name, blob }) => [field, name, blob.size]), authorization()]);
    if (question === this.#asked) return;
    this.#asking?.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    this.#asked = question;
    this.#answer.setAttribute("aria-busy", "true");
    if (!this.#shown) this.#answer.replaceChildren(h("p", { class: "hush" }, "Looking…"));
    try {
      this.#measure(call);
      const reply = await send(call, signal);
      if (picture !== this.#picture) return;
      const shown = await this.task.show(reply, picture);
      if (signal.aborted) return;
      this.#present(shown, reply);
    } catch (error) {
      if (signal.aborted) return;
      await this.#fail(error instanceof Problem ? error : new Problem("The page failed", String(error), { advice: "Please report this." }), picture);
    } finally {
      if (!signal.aborted) this.#answer.removeAttribute("aria-busy");
    }
  }

  async #pick(/** @type {string} */ name) {
    this.#wish = name;
    try {
      const model = await this.catalogue?.model(name);
      if (!model || this.#wish !== name) return;
      this.#model = model;
      this.#about.textContent = model.description;
      this.#settings.replaceChildren(...this.task.settings(model));
      this.around.called();
      await this.ask();
    } catch (error) {
      if (error instanceof Problem) this.#answer.replaceChildren(notice(error, [{ label: "Try again", act: () => this.#pick(name) }]));
      else throw error;
    }
  }

  #present(/** @type {Shown} */ shown, /** @type {Reply} */ reply) {
    this.#shown = shown;
    this.#answer.replaceChildren(...shown.nodes);
    this.#spent.replaceChildren(timings(reply.spent, reply.device));
    const size = reply.json?.image ?? shown.size;
    if (size) this.around.stage.measured(size);
    if (this.#isOpen) {
      this.around.stage.lay(shown.overlay);
      this.around.stage.describe(shown.summary);
    }
    this.around.called();
    this.around.announce(shown.summary);
    clock(reply.url, this.task.name);
  }

  async #fail(/** @type {Problem} */ problem, /** @type {Picture} */ picture) {
    this.#asked = "";
    if (problem.status === 413) await picture.looked; // or nobody knows yet whether it can be shrunk
    if (picture !== this.#picture || this.#asked) return;
    this.#clear();
    /** @type {{label: string, act: () => void}[]} */
    const actions = [{ label: "Try again", act: () => void this.ask() }];
    if ([400, 413, 415, 422].includes(problem.status)) actions.splice(0, 1, { label: "Choose another picture", act: this.around.choose });
    if (problem.status === 401) actions.unshift({ label: "Enter an API key", act: this.around.askKey });
    if (problem.status === 413 && picture.isShown) {
      const shrink = async () => this.around.replace(await picture.smaller(1600));
      actions.unshift({ label: "Send a smaller copy", act: () => void shrink() });
    }
    this.#answer.replaceChildren(notice(problem, actions));
  }

  /** @throws {Problem} more bytes than the service takes: it would hang up before it could say so */
  #measure(/** @type {Call} */ call) {
    const bytes = call.files.reduce((sum, { blob }) => sum + blob.size, 0);
    const most = this.around.limits.max_body_bytes;
    if (bytes < most - 1024) return;
    throw new Problem("Too large", `The picture has ${inBytes(bytes)}; this service takes ${inBytes(most)} at most.`, { status: 413 });
  }

  #clear(words = "") {
    this.#shown = null;
    this.#spent.replaceChildren();
    this.#answer.removeAttribute("aria-busy");
    const invitation = words || "Drop, paste or choose a picture, or take one of the samples.";
    this.#answer.replaceChildren(h("p", { class: "hush" }, invitation));
    if (this.#isOpen) {
      this.around.stage.lay(null);
      this.around.stage.describe("");
    }
  }

  /** @returns {Call} */
  #callOf(/** @type {boolean} */ sent) {
    const picture = this.#picture;
    const named = this.catalogue?.of(this.task.name)[0]?.name !== this.#model?.name;
    return {
      path: this.task.name,
      query: [...(named ? [/** @type {[string, string]} */ (["model", this.#model?.name ?? ""])] : []), ...this.task.query(sent)],
      files: [
        { field: this.task.field, name: picture?.name ?? "picture.jpg", blob: picture?.blob ?? new Blob() },
        ...(this.task.companions?.() ?? []),
      ],
      accept: this.task.accept,
    };
  }
}

/**
 * Note how long after the answer's last byte it was on screen: the measure `sightline:shown`.
 *
 * @param {string} url
 * @param {string} task
 */
function clock(url, task) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel(); // its message comes after the frame is painted
    channel.port1.onmessage = () => {
      const start = performance.getEntriesByName(url, "resource").at(-1);
      if (start instanceof PerformanceResourceTiming)
        performance.measure("sightline:shown", { start: start.responseEnd, end: performance.now(), detail: task });
    };
    channel.port2.postMessage(null);
  });
}
