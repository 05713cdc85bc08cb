/** Where pictures come from: dropped, pasted, chosen. */

import { byId } from "./element.js";
import { Picture } from "./picture.js";

/** @param {(picture: Picture) => void} taken */
export function sources(taken) {
  const finder = byId("finder", HTMLElement);
  const input = byId("file", HTMLInputElement);
  const take = (/** @type {FileList | null | undefined} */ files) => {
    const [file] = files ?? [];
    if (file) taken(new Picture(file, file.name || "pasted.png"));
  };

  byId("choose", HTMLButtonElement).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take(input.files);
    input.value = ""; // the same file may be chosen again
  });

  // The whole page takes a drop: a picture that misses the finder must not replace the page.
  addEventListener("dragover", (event) => {
    event.preventDefault();
    finder.toggleAttribute("data-over", event.dataTransfer?.types.includes("Files"));
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) finder.removeAttribute("data-over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    finder.removeAttribute("data-over");
    take(event.dataTransfer?.files);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) {
      event.preventDefault();
      take(event.clipboardData.files);
    }
  });
}
