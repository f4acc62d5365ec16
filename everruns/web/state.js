// What the reader looks at: held by the address bar, so that back, reload and sharing work. The key is no part of it.

import { addDays, isDay } from "./text.js";

// `pinned` holds the pages after the first still: only sessions created before it. `until` is the chart's last day.
const NAMES = ["agent_id", "from", "to", "limit", "offset", "pinned", "until", "open"];

/** The state in the address bar; what it does not say is an empty string. */
export function read(search) {
  const given = new URLSearchParams(search);
  return Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? ""]));
}

/** The address of the state, relative to this page. */
export function address(state) {
  const told = query(NAMES.map((name) => [name, state[name]]));
  return told ? `?${told}` : "./";
}

export const isFiltered = (state) => Boolean(state.agent_id || state.from || state.to);

/** Where the sessions are that the state asks for. What is malformed goes to the service, which says what is right. */
export function sessionsUrl(state) {
  return `v1/sessions?${query([
    ["agent_id", state.agent_id],
    ["created_after", state.from && `${state.from}T00:00:00Z`],
    ["created_before", createdBefore(state)],
    ["offset", state.offset || "0"],
    ["limit", state.limit || "20"],
  ])}`;
}

/** Where the sessions per day are. */
export function activityUrl(state) {
  return `v1/sessions/activity?${query([["agent_id", state.agent_id], ["days", "28"], ["until", state.until]])}`;
}

/** Where the newest session is, whatever its day. */
export const newestUrl = (state) => `v1/sessions?${query([["agent_id", state.agent_id], ["limit", "1"]])}`;

/** The pages that the header `Link` names: `{next: {offset, pinned}, …}`. */
export function pages(link) {
  const found = {};
  for (const [, reference, rel] of link.matchAll(/<\?([^>]*)>; rel="(\w+)"/g)) {
    const asked = new URLSearchParams(reference);
    found[rel] = { offset: asked.get("offset"), pinned: rel === "first" ? "" : asked.get("created_before") ?? "" };
  }
  return found;
}

function createdBefore({ to, pinned }) {
  const end = to && `${isDay(to) ? addDays(to, 1) : to}T00:00:00Z`;
  return end && pinned && Date.parse(end) < Date.parse(pinned) ? end : pinned || end;
}

function query(pairs) {
  const told = new URLSearchParams(pairs.filter(([, value]) => value));
  return String(told).replaceAll("%3A", ":");
}
