/** Numbers that look random and are the same every time, so that a sample is always the same picture. */

/** @param {number} seed @returns {() => number} 0 to 1; Park and Miller's generator */
export function chance(seed) {
  let state = seed % 2147483647 || 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}
