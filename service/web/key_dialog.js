/** Where an API key is typed in. */

import { byId } from "./element.js";
import { keep, key } from "./key.js";

/**
 * @param {() => void} changed
 * @returns {{open: () => void}}
 */
export function keyDialog(changed) {
  const dialog = byId("key-dialog", HTMLDialogElement);
  const input = byId("key", HTMLInputElement);
  const button = byId("key-button", HTMLButtonElement);
  const tell = () => (button.textContent = key() ? "Key set" : "Key");

  function open() {
    dialog.returnValue = "";
    input.value = key();
    dialog.showModal();
    input.select();
  }

  button.addEventListener("click", open);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return; // or the form's first button, Forget, would be pressed
    event.preventDefault();
    dialog.close("use");
  });
  dialog.addEventListener("close", () => {
    if (!dialog.returnValue) return; // Escape
    keep(dialog.returnValue === "use" ? input.value.trim() : "");
    tell();
    changed();
  });
  tell();
  return { open };
}
