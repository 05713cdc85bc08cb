/** A picture from the camera. */

import { byId, h, pen } from "./element.js";
import { Picture } from "./picture.js";

const WORDS = /** @type {Record<string, string>} */ ({
  NotAllowedError: "The browser was told not to let this page see the camera. Allow it in the address bar, then try again.",
  NotFoundError: "This device has no camera.",
  NotReadableError: "The camera is in use by something else.",
});

/** @param {(picture: Picture) => void} taken */
export function camera(taken) {
  const dialog = byId("camera-dialog", HTMLDialogElement);
  const video = byId("camera-view", HTMLVideoElement);
  const words = byId("camera-words", HTMLElement);
  const shutter = byId("camera-take", HTMLButtonElement);
  /** @type {MediaStream | null} */
  let stream = null;

  async function open() {
    dialog.showModal();
    shutter.disabled = true;
    if (!navigator.mediaDevices) {
      words.textContent = "Browsers give the camera only to pages over HTTPS or from this very device.";
      return;
    }
    words.textContent = "Waiting for the camera…";
    try {
      const video_ = { facingMode: "environment", width: { ideal: 1280 } };
      const found = await navigator.mediaDevices.getUserMedia({ video: video_, audio: false });
      if (!dialog.open) return stop(found); // closed while the browser asked
      stream = found;
      video.srcObject = stream;
      await video.play();
      words.textContent = "";
      shutter.disabled = false;
    } catch (error) {
      const name = error instanceof DOMException ? error.name : "";
      words.textContent = WORDS[name] ?? `The camera does not work (${String(error)}).`;
    }
  }

  function take() {
    const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
    pen(canvas).drawImage(video, 0, 0);
    canvas.toBlob(
      (blob) => {
        if (blob) taken(new Picture(blob, "camera.jpg", "From the camera"));
        dialog.close();
      },
      "image/jpeg",
      0.92,
    );
  }

  byId("camera", HTMLButtonElement).addEventListener("click", open);
  byId("camera-close", HTMLButtonElement).addEventListener("click", () => dialog.close());
  shutter.addEventListener("click", take);
  dialog.addEventListener("close", () => {
    if (stream) stop(stream);
    stream = video.srcObject = null;
  });
}

/** @param {MediaStream} stream */
function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
