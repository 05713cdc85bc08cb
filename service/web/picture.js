/** A picture as it is sent, and a smaller one of it to look at. */

/** Pixels of a preview's longer side, at most. */
const PREVIEW = 2048;

/** What someone dropped, drew or took. */
export class Picture {
  /**
   * @param {Blob} blob sent as it is
   * @param {string} name of the file
   * @param {string} title for people
   */
  constructor(blob, name, title = name) {
    this.blob = blob;
    this.name = name;
    this.title = title;
    this.width = 0;
    this.height = 0;
    /** @type {ImageBitmap | null} upright, no larger than PREVIEW */
    this.preview = null;
    /** Resolves when the preview is there, or never will be. @type {Promise<void>} */
    this.looked = this.#look();
  }

  /** Whether the browser shows it. */
  get isShown() {
    return this.preview !== null;
  }

  async #look() {
    try {
      const whole = await createImageBitmap(this.blob);
      this.width = whole.width;
      this.height = whole.height;
      this.preview = await shrunk(whole, PREVIEW);
    } catch {
      // The service reads kinds that a browser does not, and says better what is wrong with others.
      this.preview = null;
    }
  }

  /**
   * A copy that is small enough to send.
   *
   * @param {number} side pixels of the longer side, at most
   * @returns {Promise<Picture>}
   */
  async smaller(side) {
    await this.looked;
    if (!this.preview) throw new Error("there is nothing to shrink");
    const bitmap = await shrunk(await createImageBitmap(this.preview), side);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
    const stem = this.name.replace(/\.[^.]*$/, "");
    return new Picture(blob, `${stem}-small.jpg`, this.title);
  }
}

/**
 * @param {ImageBitmap} bitmap closed if another is made of it
 * @param {number} side
 * @returns {Promise<ImageBitmap>}
 */
async function shrunk(bitmap, side) {
  const scale = side / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return bitmap;
  const small = await createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.round(bitmap.width * scale)),
    resizeHeight: Math.max(1, Math.round(bitmap.height * scale)),
    resizeQuality: "medium",
  });
  bitmap.close();
  return small;
}

/** @param {number} bytes @returns {string} */
export function inBytes(bytes) {
  if (bytes < 1 << 20) return `${Math.max(1, Math.round(bytes / 1024))} KiB`;
  return `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}
