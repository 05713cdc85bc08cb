/** Colours of labels: far apart for neighbours, and bright, since pictures are looked at in the dark. */

/** @param {number} index of a label @param {number} [alpha] @returns {string} */
export function colour(index, alpha = 1) {
  return `hsl(${(32 + index * 137.508) % 360} 95% 66% / ${alpha})`;
}
