// Search, where the site is opened from a disk: browsers start no worker from a file, so its script
// runs in a frame instead. Material would fetch such a script from elsewhere; this one comes along.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #inner;

    constructor(url) {
      super();
      this.#frame.hidden = true;
      this.#frame.srcdoc = "<!doctype html><title>search</title>";
      this.#inner = new Promise((resolve, reject) => {
        this.#frame.addEventListener("load", () => {
          const inner = this.#frame.contentWindow;
          inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          const script = inner.document.createElement("script");
          script.addEventListener("load", () => resolve(inner));
          script.addEventListener("error", reject);
          script.src = url;
          inner.document.head.append(script);
        }, { once: true });
      });
      document.body.append(this.#frame);
    }

    postMessage(data) {
      this.#inner.then((inner) => inner.dispatchEvent(new inner.MessageEvent("message", { data })));
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
