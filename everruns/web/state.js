// The view state in the address bar, so that back, reload and shared links work. The key is not part of it.

import { queryString, today } from "./format.js";
import { keptTimeZone } from "./time-zone.js";

// `pinned`: list only sessions created before this timestamp, so that pages do not shift. `until`: the last day of the chart.
const NAMES = ["search", "agent_id", "status", "from", "to", "zone", "limit", "offset", "pinned", "until", "open"];

/** Return whether the state has days, so that its address needs the time zone. */
const hasDays = (state) => Boolean(state.from || state.to || state.until);

/** Read the state from the query of an address; absent values are empty strings, `tags` is an array. */
export function parseState(search) {
  const parameters = new URLSearchParams(search);
  const state = { ...Object.fromEntries(NAMES.map((name) => [name, parameters.get(name) ?? ""])), tags: parameters.getAll("tag") };
  return { ...state, zone: state.zone || (hasDays(state) ? "UTC" : keptTimeZone()) };
}

/** Return the address of a state, relative to the page. */
export function stateAddress(state) {
  const query = queryString([...NAMES.map((name) => [name, name === "zone" && (state.zone === "UTC" || !hasDays(state)) ? "" : state[name]]), ...tagArguments(state)]);
  return query ? `?${query}` : "./";
}

/** Return the tags as pairs of a query. */
export const tagArguments = ({ tags }) => tags.map((tag) => ["tag", tag]);

/** Return the `until` of a chart that ends on this day: empty for today, so that the chart of tomorrow ends tomorrow. */
export const untilFor = (lastDay) => (lastDay < today() ? lastDay : "");

/** The state without filters. */
export const NO_FILTERS = { search: "", agent_id: "", status: "", tags: [], from: "", to: "" };

/** Return whether the list is filtered, leaving out the filters named in `except`. */
export const isFiltered = (state, ...except) => Object.keys(NO_FILTERS).some((name) => !except.includes(name) && state[name].length);
