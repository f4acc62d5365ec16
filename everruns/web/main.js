// The page: holds the state, requests it from the service every ten seconds, and updates the parts of the page.

import { activityUrl, get, newestSessionUrl, sessionsUrl, sessionUrl, statsUrl } from "./api.js";
import { Chart } from "./chart.js";
import { createCodeBlock, createCurl, curlCommand } from "./details.js";
import { byId, create, onClick, setText } from "./dom.js";
import { Filters } from "./filters.js";
import { addDays, clockTime, formatCount, formatNumber, sentence } from "./format.js";
import { listenToKeys } from "./keyboard.js";
import { toLocalDays } from "./local-days.js";
import { Names } from "./names.js";
import { Notice } from "./notice.js";
import { Pager } from "./pager.js";
import { SignIn } from "./sign-in.js";
import { isFiltered, NO_FILTERS, parseState, stateAddress, untilFor } from "./state.js";
import { Table } from "./table.js";
import { setTimeZone } from "./time-zone.js";

const REFRESH_MS = 10_000;

let state = parseState(location.search);
let pending = new AbortController(); // cancels the current refresh
let timer;
let updatedAt = 0; // time of the latest list of sessions
let mustScroll = Boolean(state.open); // to the open row of a shared link
const latest = { sessions: {}, activity: {}, stats: {}, open: {} }; // latest responses: url, etag, text, body, link

const signIn = new SignIn({ onKey: start, onForget: forgetAll });
const names = new Names();
const filters = new Filters(names, {
  onSearch: (search, isContinued) => filter({ search }, isContinued),
  onAgent: (agent) => filter({ agent_id: agent }),
  onStatus: (status) => filter({ status }),
  onDays: filterDays,
  onRemove: (change) => filter(change),
  onZone: (zone) => filter({ zone }),
  onOpen: loadNames,
  onClear: () => filter({ ...NO_FILTERS, until: "", limit: pager.hasLimit(state.limit) ? state.limit : "" }),
});
const notice = new Notice({ onRetry: refresh });
const chart = new Chart({ onDay: toggleDay, onLastDay: (day) => navigate({ until: untilFor(day) }), onNewest: showNewest });
const table = new Table(names, { onToggle: toggleRow, onAgent: (agent) => filter({ agent_id: agent }), onTag: addTag });
const pager = new Pager({ onPage: openPage, onLimit: (limit) => filter({ limit }) });

// Requests

async function refresh() {
  clearTimeout(timer);
  pending.abort();
  const { signal } = (pending = new AbortController());
  table.setBusy(true);
  const namesLoaded = names.isLoaded ? null : loadNames(); // so that ids are not replaced by names a moment later
  const [sessions, activity, stats, open] = await Promise.allSettled([
    load("sessions", sessionsUrl(state), signal),
    load("activity", activityUrl(state), signal).then((response) => toLocalDays(response, state, (url) => get(url, signIn.key, { signal }))),
    isFiltered(state, "agent_id", "status", "from", "to") ? null : load("stats", statsUrl(state), signal), // it takes no other filters
    state.open ? load("open", sessionUrl(state.open), signal) : null,
    namesLoaded,
  ]);
  if (signal.aborted) return;
  table.setBusy(false);
  if (sessions.reason?.status === 401) return rejectKey(sessions.reason.message);
  const isMissing = [400, 404].includes(open.reason?.status);
  if (isMissing) latest.open = {};
  showOpenError(isMissing ? open.reason.message : "");
  const delay = sessions.reason ? showError(sessions.reason) : showSessions(sessions.value);
  if (activity.value) chart.show(activity.value.body, state, !isEmpty(sessions.value));
  else showChartError(activity.reason, Boolean(sessions.reason));
  filters.statuses.showCounts(stats.value?.body);
  if (sessions.value) {
    if (mustScroll) table.scrollToOpenRow();
    mustScroll = false;
  }
  timer = setTimeout(refreshIfVisible, delay);
}

function refreshIfVisible() {
  if (signIn.key && document.visibilityState === "visible") refresh();
}

/** Return the response to `url`: the latest one again, when the service says that nothing has changed. */
async function load(name, url, signal) {
  const previous = latest[name].url === url ? latest[name] : {};
  const response = await get(url, signIn.key, { etag: previous.etag, signal });
  if (!response) return previous;
  if (!signal.aborted) latest[name] = { url, ...response };
  return { url, ...response };
}

// Responses

function showSessions(response) {
  const { data, total } = response.body;
  signIn.accept();
  filters.showErrors({});
  if (names.isLoaded && !names.hasAgents(data)) loadNames();
  notice.hide();
  updatedAt = Date.now();
  table.show(response, state, openSession());
  if (!data.length) showEmpty(total);
  pager.show(response, state);
  showCurl();
  showAge();
  return REFRESH_MS;
}

/** Show the command for the list; kept as it is while nothing changes, as its button may have the focus. */
function showCurl() {
  const command = curlCommand(sessionsUrl(state));
  const content = byId("list-curl").lastElementChild;
  if (content.querySelector("pre")?.textContent !== command) content.replaceChildren(...createCurl(command));
}

/** Request the names, and show them in place of ids. Without a response the page stays as it is. */
async function loadNames() {
  try {
    await names.load(signIn.key);
  } catch {
    return; // the error of the sessions is shown
  }
  showOrganization();
  filters.updateNames();
  if (!table.isEmpty) table.show(latest.sessions, state, openSession());
  else if (isEmpty(latest.sessions) && !isFiltered(state)) showFirstSteps();
}

/** Return the response with the session `open` of the state, if there is one. */
const openSession = () => (state.open && latest.open.url === sessionUrl(state.open) ? latest.open : undefined);

function showOpenError(message) {
  byId("open-error").hidden = !message;
  setText(byId("open-error").querySelector("p"), message && sentence(message));
}

function showOrganization() {
  const { name = "", id = "" } = names.organization ?? {};
  byId("organization").hidden = !id;
  setText(byId("organization").firstElementChild, name);
  setText(byId("organization").lastElementChild, id);
}

/** Return whether the organization, or the chosen agent, has no session on any day. */
const isEmpty = (response) => response?.body?.total === 0 && !isFiltered(state, "agent_id") && !state.pinned;

function showEmpty(total) {
  if (total) {
    table.showPlaceholder(create("h2", {}, "Nothing on this page"), create("p", {}, `There are only ${formatCount(total)}.`), filterButton("First page", {}));
  } else if (isFiltered(state) || state.pinned) {
    table.showPlaceholder(create("h2", {}, "No sessions match these filters."), filterButton("Show all sessions", NO_FILTERS));
  } else {
    showFirstSteps();
  }
}

/** Show how to bring the first sessions to the organization; kept as it is while nothing changes. */
function showFirstSteps() {
  const { name = "Your organization", id = "ORG" } = names.organization ?? {};
  const command = `everruns import ${id} FILE`;
  if (byId("placeholder").dataset.steps === command && !byId("placeholder").hidden) return;
  const curl = curlCommand("v1/sessions", `-X POST -H "Content-Type: application/json" -d '{"title": "First session"}' `);
  table.showPlaceholder(
    create("h2", {}, "No sessions yet"),
    create("p", {}, create("span", { dir: "auto" }, name), ` (${id}) has no sessions. Import what the Everruns API serves, or create one; it appears here within ten seconds.`),
    createCodeBlock("Import command", command),
    ...createCurl(curl),
    create("p", { class: "muted" }, "A read-only key cannot create sessions."),
  );
  byId("placeholder").dataset.steps = command;
}

function filterButton(text, change) {
  const button = create("button", { type: "button" }, text);
  button.addEventListener("click", () => filter(change));
  return button;
}

/** Show an error, keep the sessions that are shown, and return the milliseconds until the next request. */
function showError(error) {
  const delay = Math.max(REFRESH_MS, (error.retryAfter ?? 0) * 1000);
  if (error.status === 400) signIn.accept(); // the service checks the key before the arguments
  if (!signIn.isAccepted()) {
    signIn.forget(`${sentence(error.message)} Try again.`);
    return delay;
  }
  const isCurrent = latest.sessions.url === sessionsUrl(state);
  if (!isCurrent && error.status !== 400) clearSessions(); // a wrong value leaves what is shown
  if (error.status === 400 && table.isEmpty) table.showPlaceholder(create("h2", {}, "A value in the address is invalid."), filterButton("Show all sessions", { ...NO_FILTERS, limit: "" }));
  if (filters.showErrors(error.fields ?? {})) notice.hide();
  else notice.show(error, { shownSince: isCurrent && updatedAt, retryAt: Date.now() + delay });
  return delay;
}

/** Show why there is no chart; where the list failed too, its error is enough and the previous chart stays. */
function showChartError(error, isListError) {
  if (error.status === 400) chart.showUnavailable(error.fields.until ? error.message : "", "Show the last weeks");
  else if (!isListError) chart.showUnavailable(`The chart is unavailable: ${error.message}`);
  else if (latest.activity.url !== activityUrl(state)) chart.showUnavailable("");
}

function clearSessions() {
  table.clear();
  pager.clear();
}

function showAge() {
  table.updateTimes();
  const seconds = Math.round((Date.now() - updatedAt) / 1000);
  setText(byId("updated"), updatedAt ? `Updated ${clockTime(updatedAt)}, ${seconds ? `${formatNumber(seconds)} s ago` : "just now"}` : "");
}

// Key

function rejectKey(message) {
  signIn.reject(message);
  clearAll();
}

function forgetAll() {
  state = parseState("");
  history.replaceState(null, "", stateAddress(state));
  showState();
  signIn.forget();
  clearAll();
}

/** Remove everything that was received with a key. */
function clearAll() {
  pending.abort();
  clearTimeout(timer);
  updatedAt = 0;
  latest.sessions = latest.activity = latest.stats = latest.open = {};
  clearSessions();
  chart.showUnavailable("");
  names.clear();
  showOpenError("");
  setText(byId("status"), "");
  showOrganization();
  document.title = "Everruns Sessions";
}

// Actions

/** Change the state and the address bar, and request the new state. `isContinued`: not a step of its own in the history. */
function navigate(change, isContinued = false) {
  state = { ...state, ...change };
  history[isContinued ? "replaceState" : "pushState"](null, "", stateAddress(state));
  start();
}

const filter = (change, isContinued) => navigate({ ...change, offset: "", pinned: "", open: "" }, isContinued);

function openPage(page) {
  navigate({ ...page, open: "" });
  byId("sessions").scrollIntoView({ block: "start" });
}

function addTag(tag) {
  if (!state.tags.includes(tag)) filter({ tags: [...state.tags, tag] });
}

/** Filter by days, and move the chart to the day that was changed. */
function filterDays(from, to, changedDay) {
  const isVisible = !changedDay || chart.isShown(changedDay);
  filter({ from, to, until: isVisible ? state.until : untilFor(addDays(changedDay, 14)) });
}

function toggleDay(day) {
  const isChosen = state.from === day && state.to === day;
  filter(isChosen ? { from: "", to: "" } : { from: day, to: day });
}

/** Open or close a row. An open row pins the list: newer sessions would move it to another page, also for shared links. */
function toggleRow(id) {
  const open = state.open === id ? "" : id;
  const isLive = !open && !Number(state.offset);
  const pinned = isLive ? "" : state.pinned || pager.pinned;
  const isChanged = pinned !== state.pinned;
  state = { ...state, open, pinned };
  history.replaceState(null, "", stateAddress(state));
  showOpenError("");
  if (!latest.sessions.body) return;
  table.show(latest.sessions, state, openSession());
  if (!latest.sessions.body.data.length) showEmpty(latest.sessions.body.total);
  if (isChanged && !isLive) latest.sessions = { ...latest.sessions, url: sessionsUrl(state), etag: null }; // the same sessions
  pager.showPinned(state);
  if (isChanged && isLive) refresh();
}

/** Show the chart of the weeks around the newest session. */
async function showNewest() {
  try {
    const { body } = await get(newestSessionUrl(state), signIn.key);
    const [newest] = body.data;
    if (newest) navigate({ until: untilFor(addDays(newest.created_at.slice(0, 10), 3)) });
    else chart.showNote("There are no sessions.", "");
  } catch (error) {
    showError(error);
  }
}

/** Show the filters and the time zone of the state. */
function showState() {
  setText(byId("zone-error"), setTimeZone(state.zone));
  filters.show(state);
}

function start() {
  showState();
  refresh();
}

onClick(byId("open-error").querySelector("button"), () => toggleRow(state.open));
listenToKeys({ onClose: () => toggleRow(state.open) });
addEventListener("popstate", () => {
  state = parseState(location.search);
  showState();
  if (signIn.key) refresh();
});
addEventListener("online", refreshIfVisible);
document.addEventListener("visibilitychange", refreshIfVisible);
setInterval(showAge, 1000);

if (signIn.key) {
  signIn.showMain("app");
  table.showPlaceholder(create("p", { class: "muted" }, "Loading the sessions…"));
  start();
} else signIn.showError("");
