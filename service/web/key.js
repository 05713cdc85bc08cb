/** The API key, kept by the browser until its tab is closed. */

const NAME = "sightline-key";

/** @returns {string} empty if there is none */
export function key() {
  return sessionStorage.getItem(NAME) ?? "";
}

/** @param {string} value empty to forget it */
export function keep(value) {
  if (value) sessionStorage.setItem(NAME, value);
  else sessionStorage.removeItem(NAME);
}

/** @returns {Record<string, string>} headers that carry it */
export function authorization() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}
