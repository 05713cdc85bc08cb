/** The page put together. */

import { Bench } from "./bench.js";
import { curl, python } from "./call.js";
import { camera } from "./camera.js";
import { Catalogue } from "./catalogue.js";
import { choice } from "./controls.js";
import { byId } from "./element.js";
import { keyDialog } from "./key_dialog.js";
import { notice } from "./notice.js";
import { Problem } from "./problem.js";
import { samples } from "./samples.js";
import { get } from "./service.js";
import { sketch } from "./sketch.js";
import { sources } from "./sources.js";
import { Stage } from "./stage.js";
import { tabs } from "./tabs.js";
import { Caption } from "./task/caption.js";
import { Classify } from "./task/classify.js";
import { Detect } from "./task/detect.js";
import { Segment } from "./task/segment.js";
import { Stylize } from "./task/stylize.js";
import { theme } from "./theme.js";

/** @typedef {import("./picture.js").Picture} Picture */

theme(byId("theme", HTMLButtonElement));

const stage = new Stage();
const status = byId("status", HTMLElement);
const room = byId("bench", HTMLElement);
const announcer = byId("announcer", HTMLElement);
const save = byId("save", HTMLAnchorElement);
const limits = { max_body_bytes: Infinity, version: "" };
/** @type {Catalogue | null} */
let catalogue = null;
let language = "curl";
/** The next time to ask for models. */
let asking = 0;

/** @type {import("./bench.js").Surroundings} */
const around = {
  stage,
  limits,
  announce: (words) => (announcer.textContent = words),
  called: () => writeCall(),
  askKey: () => dialog.open(),
  choose: () => byId("choose", HTMLButtonElement).click(),
  replace: (picture) => take(picture),
};

const tasks = [
  new Classify((need) => benchOf("classify").changed(need)),
  new Detect((need) => benchOf("detect").changed(need)),
  new Segment((need) => benchOf("segment").changed(need)),
  new Caption((need) => benchOf("caption").changed(need)),
  new Stylize((need) => benchOf("stylize").changed(need), () => catalogue?.presets ?? []),
];
const benches = new Map(tasks.map((task) => [task.name, new Bench(task, around)]));
let open = benchOf("classify");
room.replaceChildren(...[...benches.values()].map(({ element }) => element));

/** @param {string} name @returns {Bench} */
function benchOf(name) {
  const bench = benches.get(name);
  if (!bench) throw new Error(`there is no task ${name}`);
  return bench;
}

const tabList = tabs(byId("tabs", HTMLElement), tasks, (name) => {
  open.close();
  open = benchOf(name);
  open.open();
  history.replaceState(null, "", `#${name}`);
});

const unpress = samples(byId("samples", HTMLElement), async (picture, model) => {
  await Promise.all([...benches.values()].map((bench) => bench.prefer(model)));
  take(picture);
});
sources(take);
camera(take);
sketch(async (picture) => {
  const reader = await catalogue?.readsDigits().catch(() => null);
  if (reader) await benchOf("classify").prefer(reader);
  take(picture);
  tabList.choose("classify");
});

function take(/** @type {Picture} */ picture) {
  unpress();
  for (const bench of benches.values()) bench.take(picture); // the call goes out before anything is drawn
  void stage.show(picture);
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(picture.blob);
  save.download = picture.name;
  save.hidden = false;
  writeCall();
}

const dialog = keyDialog(() => {
  void load();
});

choice(byId("languages", HTMLElement), { curl: "curl", python: "Python" }, language, (value) => {
  language = value;
  writeCall();
});

function writeCall() {
  const call = open?.call;
  const reading = open?.task.reading();
  const text = call ? (language === "curl" ? curl(call, reading) : python(call, reading)) : "There is no model to call.";
  byId("call", HTMLElement).textContent = text;
  byId("copy", HTMLButtonElement).disabled = !call;
}

byId("copy", HTMLButtonElement).addEventListener("click", async (event) => {
  const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
  const text = byId("call", HTMLElement);
  try {
    await navigator.clipboard.writeText(text.textContent ?? "");
    button.textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(text); // without HTTPS there is no clipboard
    button.textContent = "Selected: press Ctrl+C";
  }
  around.announce(button.textContent);
  setTimeout(() => (button.textContent = "Copy"), 2000);
});

/**
 * Ask what there is; while models are loading, ask again.
 *
 * @param {number} [patience] ms until then; more every time
 */
async function load(patience = 1000) {
  clearTimeout(asking);
  try {
    Object.assign(limits, await get("web/limits.json"));
    byId("version", HTMLElement).textContent = `Sightline ${limits.version}.`;
    catalogue = await Catalogue.load();
    room.querySelector(":scope > .notice")?.remove();
    const count = catalogue.summaries.length;
    tell(`${count} ${count === 1 ? "model" : "models"} ready`, "well");
    await Promise.all([...benches.values()].map((bench) => bench.equip(/** @type {Catalogue} */ (catalogue))));
    writeCall();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    tell(error.title.toLowerCase(), "wrong");
    /** @type {{label: string, act: () => void}[]} */
    const actions = [{ label: "Try again", act: () => void load() }];
    if (error.status === 401) actions.unshift({ label: "Enter an API key", act: () => dialog.open() });
    const shown = room.querySelector(":scope > .notice");
    const anew = notice(error, actions);
    if (shown?.textContent !== anew.textContent) {
      shown?.remove();
      room.prepend(anew);
    }
    if (error.status === 503) asking = setTimeout(load, patience, Math.min(1.5 * patience, 15000));
  }
}

function tell(/** @type {string} */ words, /** @type {"well" | "wrong"} */ state) {
  status.dataset.state = state;
  status.textContent = words;
}

const wanted = location.hash.slice(1);
tabList.choose(benches.has(wanted) ? wanted : "classify");
await load();
