/** Light or dark: as the system has it, until someone says otherwise. */

const NAME = "sightline-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** @param {HTMLButtonElement} button that changes it */
export function theme(button) {
  const apply = () => {
    const dark = (localStorage.getItem(NAME) ?? (system.matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Light theme" : "Dark theme");
  };
  button.addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme === "dark";
    localStorage.setItem(NAME, dark ? "light" : "dark");
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}
