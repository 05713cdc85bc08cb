/** A call as a person would write it: with curl, or in Python. */

import { key } from "./key.js";
import { address } from "./service.js";

/** @typedef {import("./service.js").Call} Call */
/** @typedef {{python: string[], output: string}} Reading lines that read `response`; the file curl writes, if any */

/** @param {Call} call @param {Reading} reading @returns {string} */
export function curl(call, reading) {
  const parts = call.files.map(({ field, name }) => `-F ${quoted(`${field}=@${formName(name)}`)}`);
  if (key()) parts.push('-H "Authorization: Bearer $SIGHTLINE_KEY"');
  if (call.accept) parts.push(`-H ${quoted(`Accept: ${call.accept}`)}`);
  if (reading.output) parts.push(`-o ${reading.output}`);
  parts.push(quoted(address(call.path, call.query)));
  return `curl ${parts.join(" \\\n  ")}`;
}

/** @param {Call} call @param {Reading} reading @returns {string} */
export function python(call, reading) {
  const headers = [];
  if (key()) headers.push('"Authorization": f"Bearer {os.environ[\'SIGHTLINE_KEY\']}"');
  if (call.accept) headers.push(`"Accept": ${text(call.accept)}`);
  const files = call.files.map(({ field, name }) => `        (${text(field)}, open(${text(name)}, "rb")),`);
  return [
    ...(key() ? ["import os", ""] : []),
    "import httpx",
    "",
    "response = httpx.post(",
    `    ${text(address(call.path))},`,
    ...parameters(call.query),
    "    files=[",
    ...files,
    "    ],",
    ...(headers.length ? [`    headers={${headers.join(", ")}},`] : []),
    ")",
    "response.raise_for_status()",
    ...reading.python,
  ].join("\n");
}

/** @param {[string, string][]} query @returns {string[]} */
function parameters(query) {
  if (!query.length) return [];
  const values = new Map();
  for (const [name, value] of query) values.set(name, [...(values.get(name) ?? []), literal(value)]);
  const told = [...values].map(([name, all]) => `${text(name)}: ${all.length > 1 ? `[${all.join(", ")}]` : all[0]}`);
  return [`    params={${told.join(", ")}},`];
}

/** @param {string} value @returns {string} a number or a truth as such */
function literal(value) {
  if (value === "true" || value === "false") return value === "true" ? "True" : "False";
  return /^(0|[1-9]\d*)(\.\d+)?$/.test(value) ? value : text(value);
}

/** @param {string} value @returns {string} in Python, where JSON's escapes hold as well */
function text(value) {
  return JSON.stringify(value);
}

/** @param {string} name @returns {string} as curl's -F reads it: commas and semicolons need quotes */
function formName(name) {
  return /[,;"\\]/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name;
}

/** @param {string} value @returns {string} for a shell, in quotes if it needs them */
function quoted(value) {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
