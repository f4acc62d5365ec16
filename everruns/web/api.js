// Requests to the service: URLs, GET, pagination links and errors.

import { addDays, isDay, queryString, today } from "./format.js";
import { tagArguments } from "./state.js";
import { dayStart, timeZone } from "./time-zone.js";

export const CHART_DAYS = 28;
const TIMEOUT_MS = 20_000;

/** No response from the service. */
export class NetworkError extends Error {}

/** Error response; `fields` maps the names of invalid arguments to messages. */
export class ApiError extends Error {
  constructor(status, error, retryAfter) {
    super(error.message ?? `The service or a proxy returned HTTP status ${status}.`);
    this.status = status;
    this.fields = error.fields ?? {};
    this.requestId = error.request_id;
    this.retryAfter = Number(retryAfter) || 0;
  }
}

/**
 * GET `url` and return `{text, body, etag, link}`, or null when nothing has changed since `etag`.
 * Throws `ApiError`, `NetworkError`, or the AbortError of `signal`. The key is sent in the header only.
 */
export async function get(url, key, { etag, signal } = {}) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, TIMEOUT_MS);
  signal?.addEventListener("abort", abort);
  try {
    const headers = { Authorization: `Bearer ${key}`, ...(etag && { "If-None-Match": etag }) };
    const response = await fetch(url, { headers, cache: "no-store", credentials: "omit", signal: controller.signal });
    if (response.status === 304) return null;
    const text = await response.text();
    if (!response.ok) throw new ApiError(response.status, parseError(text), response.headers.get("Retry-After"));
    return { text, body: JSON.parse(text), etag: response.headers.get("ETag"), link: response.headers.get("Link") ?? "" };
  } catch (error) {
    if (error instanceof ApiError || signal?.aborted) throw error;
    throw new NetworkError("The service cannot be reached.", { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Return the error of a response body; a proxy may send something else than JSON. */
function parseError(text) {
  try {
    return JSON.parse(text)?.error ?? {};
  } catch {
    return {};
  }
}

/** Return the URL of the sessions of a state. Invalid values are sent too: the service says what is wrong. */
export function sessionsUrl(state) {
  return `v1/sessions?${queryString([
    ["search", state.search],
    ["agent_id", state.agent_id],
    ["status", state.status],
    ...tagArguments(state),
    ...bounds(state),
    ["offset", state.offset || "0"],
    ["limit", state.limit || "20"],
  ])}`;
}

/** Return the URL of one session. */
export const sessionUrl = (id) => `v1/sessions/${encodeURIComponent(id)}`;

/** Return the URL of the numbers of sessions by status, of any title and tags. */
export const statsUrl = (state) => `v1/sessions/stats?${queryString([["agent_id", state.agent_id], ...bounds(state)])}`;

/** Return the URL of the numbers of sessions of one day. */
export const dayStatsUrl = ({ agent_id: agent }, day) => `v1/sessions/stats?${queryString([["agent_id", agent], ...bounds({ from: day, to: day })])}`;

/** Return the URL of the sessions per UTC day: those of the chart, or all that the days of another time zone overlap. */
export function activityUrl(state) {
  const isUtc = timeZone() === "UTC";
  const lastDay = state.until || today();
  const until = isUtc || !isDay(lastDay) ? state.until : addDays(lastDay, 1);
  return `v1/sessions/activity?${queryString([["agent_id", state.agent_id], ["days", CHART_DAYS + (isUtc ? 0 : 2)], ["until", until]])}`;
}

/** Return the URL of the newest session of any day. */
export const newestSessionUrl = (state) => `v1/sessions?${queryString([["agent_id", state.agent_id], ["limit", "1"]])}`;

/** Parse a `Link` header into the state changes of its pages: `{next: {offset, pinned}, …}`. */
export function parseLinks(link) {
  const pages = {};
  for (const [, query, rel] of link.matchAll(/<\?([^>]*)>; rel="(\w+)"/g)) {
    const parameters = new URLSearchParams(query);
    pages[rel] = { offset: parameters.get("offset"), pinned: rel === "first" ? "" : parameters.get("created_before") ?? "" };
  }
  return pages;
}

const bounds = (state) => [
  ["created_after", state.from && dayStart(state.from)],
  ["created_before", createdBefore(state)],
];

function createdBefore({ to, pinned }) {
  const end = to && dayStart(isDay(to) ? addDays(to, 1) : to);
  return end && pinned && Date.parse(end) < Date.parse(pinned) ? end : pinned || end;
}
