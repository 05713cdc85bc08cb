/** COCO's compressed run lengths, read at the size a mask is shown in. */

/**
 * @param {string} text 5 bits a character from "0" on, the sixth says that more follow; from the
 *   third number on they are differences to the one before the last
 * @returns {number[]} lengths of runs, of zeros first
 */
export function counts(text) {
  /** @type {number[]} */
  const lengths = [];
  for (let at = 0; at < text.length; ) {
    let value = 0;
    let shift = 1; // by multiplication: a run may take more than 31 bits
    let more = true;
    while (more) {
      const code = text.charCodeAt(at++) - 48;
      value += (code & 31) * shift;
      shift *= 32;
      more = (code & 32) !== 0;
      if (!more && code & 16) value -= shift;
    }
    if (lengths.length > 2) value += lengths[lengths.length - 2] ?? 0;
    lengths.push(value);
  }
  return lengths;
}

/**
 * Call for every stretch of a mask's columns that a smaller grid has.
 *
 * @param {{size: [number, number], counts: string}} mask height and width first, by columns
 * @param {number} width of the grid, no more than the mask's
 * @param {number} height
 * @param {(x: number, top: number, bottom: number) => void} fill rows from `top` to before `bottom`
 */
export function stretches(mask, width, height, fill) {
  const [rows, columns] = mask.size;
  /** The grid's first row whose middle is at or below a row of the mask. */
  const row = (/** @type {number} */ y) => Math.ceil((y * height) / rows - 0.5);
  const column = (/** @type {number} */ x) => Math.ceil((x * width) / columns - 0.5);
  let position = 0;
  counts(mask.counts).forEach((length, index) => {
    const end = position + length;
    if (index % 2 && length) {
      for (let x = Math.floor(position / rows); x * rows < end; x += 1) {
        const top = row(Math.max(position - x * rows, 0));
        const bottom = row(Math.min(end - x * rows, rows));
        for (let at = column(x); at < column(x + 1); at += 1) if (top < bottom) fill(at, top, bottom);
      }
    }
    position = end;
  });
}
