/** What went wrong, in words a person can act on. */

/** What to do about a status, where the service's own words do not say it. */
const ADVICE = /** @type {Record<number, string>} */ ({
  400: "Try another picture.",
  401: "Enter an API key that this service accepts.",
  403: "Your API key does not allow this.",
  404: "The model may have been taken away; reload the page to see which are there.",
  408: "The connection is too slow for this picture; a smaller one may get through.",
  413: "Send a smaller copy, or choose another picture.",
  422: "Change the settings, or try another picture.",
  429: "The service is busy. Try again in a moment.",
  500: "This is the service's fault; its log has the details.",
  502: "Something in front of the service could not reach it.",
  503: "The service is starting, stopping, or has no such model ready.",
  504: "The service did not get to it in time. Try again, or send less at once.",
});

/** A failed call. `message` is the detail. */
export class Problem extends Error {
  /**
   * @param {string} title
   * @param {string} detail
   * @param {{status?: number, retryAfterS?: number, advice?: string}} [more] `status` is 0 where no answer came
   */
  constructor(title, detail, more = {}) {
    super(detail);
    this.title = title;
    this.status = more.status ?? 0;
    this.retryAfterS = more.retryAfterS ?? 0;
    this.advice = more.advice ?? ADVICE[this.status] ?? "";
  }

  /** No answer came at all. */
  static unreachable() {
    const offline = navigator.onLine === false;
    return new Problem(
      "No connection to the service",
      offline ? "This device is offline." : "The service did not answer. It may have stopped, or the network is down.",
      { advice: "Try again once it is back." },
    );
  }

  /**
   * Read a response that is no success: problem details where the service sent them.
   *
   * @param {Response} response
   * @returns {Promise<Problem>}
   */
  static async of(response) {
    const { status } = response;
    const retryAfterS = Number(response.headers.get("Retry-After")) || 0;
    const type = response.headers.get("Content-Type") ?? "";
    const told = type.includes("json") ? await response.json().catch(() => ({})) : {};
    const title = typeof told.title === "string" ? told.title : response.statusText || `Status ${status}`;
    const detail = typeof told.detail === "string" ? told.detail : "The answer does not say more.";
    return new Problem(title, sentence(detail), { status, retryAfterS });
  }
}

/** @param {string} text @returns {string} it begins with a capital and ends with a stop */
function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?)]$/.test(begun) ? begun : `${begun}.`;
}
