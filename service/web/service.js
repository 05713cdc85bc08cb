/** The service, over HTTP. Paths are relative to the page, so that it works behind a prefix. */

import { authorization } from "./key.js";
import { Problem } from "./problem.js";

/**
 * What is sent to a task.
 *
 * @typedef {object} Call
 * @property {string} path
 * @property {[string, string][]} query
 * @property {{field: string, name: string, blob: Blob}[]} files
 * @property {string} [accept] for answers that are pictures
 */

/**
 * Milliseconds the service spent, and those until all of its answer was here.
 *
 * @typedef {{decode: number, queue: number, run: number, total: number, roundTrip: number}} Spent
 */

/**
 * @typedef {object} Reply
 * @property {any} json of an answer in JSON
 * @property {Blob | null} picture of one that is a picture
 * @property {Spent} spent
 * @property {string} device where the model ran
 * @property {string} url
 */

/** @param {string} path @param {[string, string][]} [query] @returns {string} */
export function address(path, query = []) {
  const url = new URL(path, document.baseURI);
  url.search = new URLSearchParams(query).toString();
  url.hash = "";
  return url.href;
}

/**
 * Fetch, with the key, and with every failure a Problem.
 *
 * @param {string} url
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 * @throws {Problem} and AbortError, if the signal in `options` says so
 */
async function fetched(url, options = {}) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url, { ...options, headers: { ...authorization(), ...options.headers } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw Problem.unreachable();
  }
  if (!response.ok) throw await Problem.of(response);
  return response;
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 * @throws {Problem}
 */
export async function get(path) {
  return (await fetched(address(path))).json();
}

/**
 * Send pictures to a task.
 *
 * @param {Call} call
 * @param {AbortSignal} signal
 * @returns {Promise<Reply>}
 * @throws {Problem} and AbortError
 */
export async function send(call, signal) {
  const body = new FormData();
  for (const { field, name, blob } of call.files) body.append(field, blob, name);
  const url = address(call.path, call.query);
  const began = performance.now();
  const headers = call.accept ? { Accept: call.accept } : undefined;
  const response = await fetched(url, { method: "POST", body, headers, signal });
  const isJson = (response.headers.get("Content-Type") ?? "").includes("json");
  try {
    const json = isJson ? await response.json() : null;
    const picture = isJson ? null : await response.blob();
    const roundTrip = performance.now() - began;
    const stages = json?.timing_ms ?? serverTiming(response.headers.get("Server-Timing") ?? "");
    const spent = { decode: 0, queue: 0, run: 0, total: 0, ...stages, roundTrip };
    return { json, picture, spent, device: response.headers.get("Sightline-Device") ?? "", url };
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw Problem.unreachable();
  }
}

/** @param {string} header such as `decode;dur=1.2, run;dur=5` @returns {Record<string, number>} */
export function serverTiming(header) {
  return Object.fromEntries(
    [...header.matchAll(/([a-z]+);dur=([0-9.]+)/g)].map(([, stage, spent]) => [stage, Number(spent)]),
  );
}
