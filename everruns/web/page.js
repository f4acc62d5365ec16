// The page: a key, a state in the address bar, and what the service answers to both, asked again every few seconds.

import { get, Refused, Unreachable } from "./api.js";
import { Chart } from "./chart.js";
import { enable, find, make, onUse, say } from "./dom.js";
import { activityUrl, address, isFiltered, newestUrl, pages, read, sessionsUrl } from "./state.js";
import { Table } from "./table.js";
import { addDays, number, sentence, sessions, timeOfDay, today } from "./text.js";

const EVERY = 10_000; // milliseconds from one look to the next
const STORED = "everruns-key";
const FIELDS = { agent_id: "agent", created_after: "from", created_before: "to" };

let key = sessionStorage.getItem(STORED);
let state = read(location.search);
let asking = new AbortController();
let timer;
let seenAt = 0; // when the service last answered
let links = {};
let arriving = Boolean(state.open); // at an address that opens a row, which is to be in view
const kept = { list: {}, days: {} }; // of each question the last answer: its url, etag, text, body, link
const agents = new Set();

const table = new Table(document.querySelector("tbody"), toggle, (agent) => filter({ agent_id: agent }));
const chart = new Chart(chooseDay, (until) => go({ until: until < today() ? until : "" }), showNewest);

// --- asking ---

async function update() {
  clearTimeout(timer);
  asking.abort();
  const mine = (asking = new AbortController());
  find("sessions").setAttribute("aria-busy", "true");
  const [list, days] = await Promise.allSettled([
    ask("list", sessionsUrl(state), mine.signal),
    ask("days", activityUrl(state), mine.signal),
  ]);
  if (mine.signal.aborted) return;
  find("sessions").removeAttribute("aria-busy");
  if (list.reason?.status === 401) return forget(list.reason.message);
  const next = list.reason ? showFault(list.reason) : showList(list.value);
  if (days.value) chart.show(days.value.body, state.from, state.to, !knownEmpty(list.value));
  else showNoChart(days.reason, Boolean(list.reason));
  if (arriving && list.value) document.querySelector('[aria-expanded="true"]')?.scrollIntoView({ block: "start" });
  if (list.value) arriving = false;
  timer = setTimeout(look, next);
}

/** Whether an answer says that there is no session of any day. */
const knownEmpty = (list) => list?.body.total === 0 && !(state.from || state.to || state.pinned);

/** Tell why there is no chart; but where no rows come either, that is told once, and what was seen stays. */
function showNoChart(fault, isTold) {
  if (fault.status === 400) chart.refuse(fault.fields.until ? fault.message : "", "Show the last weeks");
  else if (!isTold) chart.refuse(`The chart cannot be had at the moment: ${fault.message}`);
  else if (kept.days.url !== activityUrl(state)) chart.refuse("");
}

/** The answer to `url`: the last one again, as long as the service says that nothing has changed. */
async function ask(what, url, signal) {
  const old = kept[what].url === url ? kept[what] : {};
  const answer = await get(url, key, old.etag, signal);
  if (answer && !signal.aborted) kept[what] = { url, ...answer };
  return answer ? { url, ...answer } : old;
}

/** Ask again, but not while nobody sees it. */
function look() {
  if (key && document.visibilityState === "visible") update();
}

// --- showing ---

function showList(answer) {
  const { data, total, offset, limit } = answer.body;
  const before = find("range").textContent;
  enter();
  tellFields({});
  find("notice").hidden = true;
  seenAt = Date.now();
  table.show(answer, answer.url, state.open);
  links = pages(answer.link);
  say(find("range"), data.length ? `${number(offset + 1)}–${number(offset + data.length)} of ${number(total)}` : total ? `0 of ${number(total)}` : "No sessions");
  if (find("range").textContent !== before) say(find("status"), total ? `Sessions ${find("range").textContent}` : "No sessions");
  document.title = `${find("range").textContent} · Everruns Sessions`;
  showPager(offset, limit);
  showInstead(data.length, total);
  if (data.length) say(find("organization"), data[0].organization_id);
  find("organization").hidden = !data.length;
  suggest(data);
  tick();
  return EVERY;
}

function showPager(offset, limit) {
  showHeld(offset);
  for (const button of document.querySelectorAll("[data-rel]")) {
    const page = links[button.dataset.rel];
    enable(button, Boolean(page) && (Number(page.offset) !== offset || (button.dataset.rel === "first" && state.pinned)));
  }
  const sizes = find("limit");
  if (![...sizes.options].some((option) => option.value === String(limit))) sizes.append(make("option", {}, String(limit)));
  sizes.value = limit;
}

/** Whether what is newer is kept away, and how to see it. */
function showHeld(offset) {
  const isOpen = state.open && !Number(offset);
  find("held").hidden = !state.pinned;
  say(find("held"), isOpen ? "Held still while a row is open; close it, or First, to see what is newer." : "Held still while you turn pages; First shows what is newer.");
  if (state.pinned && links.first) enable(document.querySelector('[data-rel="first"]'), true);
}

/** In the place of rows, when there are none, why. */
function showInstead(shown, total) {
  const instead = find("instead");
  instead.hidden = shown > 0;
  document.querySelector("table").hidden = shown === 0;
  if (shown) return;
  const button = (text, change) => {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", () => filter(change));
    return made;
  };
  if (total) {
    instead.replaceChildren(make("h2", {}, "No page here"), make("p", {}, `There are only ${sessions(total)}.`), button("First page", {}));
  } else if (isFiltered(state) || state.pinned) {
    const all = { agent_id: "", from: "", to: "" };
    instead.replaceChildren(make("h2", {}, "No session matches these filters."), button("Show all sessions", all));
  } else {
    const command = make("code", {}, "everruns import --org ORG FILE");
    instead.replaceChildren(make("h2", {}, "No sessions yet"), make("p", {}, "Bring in what the Everruns API serves: ", command));
  }
}

/** Tell what went wrong, keep what is shown, and return after how many milliseconds to try again. */
function showFault(fault) {
  const refused = fault instanceof Refused;
  if (!refused && !(fault instanceof Unreachable)) console.error(fault);
  const wait = Math.max(EVERY, (fault.retryAfter ?? 0) * 1000);
  if (fault.status === 400) enter(); // whose key does not work is told that first
  else if (!sessionStorage.getItem(STORED)) {
    key = null;
    showGate(`${sentence(fault.message)} Try again.`);
    return wait;
  }
  tellFields(fault.fields ?? {});
  find("notice").hidden = Object.keys(fault.fields ?? {}).some((argument) => argument in FIELDS);
  const parts = [fault.status === 400 ? fault.message : sentence(fault.message)]; // of a 400, the first word may be an argument
  if (!refused) parts.push("You are offline, or it is down.");
  if (fault.status >= 500 && fault.requestId) parts.push(`Request ${fault.requestId}.`);
  if (kept.list.url !== sessionsUrl(state)) showNothing();
  else if (seenAt) parts.push(`What you see is of ${timeOfDay(seenAt)}.`);
  if (fault.status !== 400) parts.push(`The next try is at ${timeOfDay(Date.now() + wait)}.`);
  say(find("notice").querySelector("p"), parts.join(" "));
  return wait;
}

/** No rows, and no pages: what was seen is not what is asked for now. */
function showNothing() {
  table.clear();
  document.querySelector("table").hidden = find("instead").hidden = true;
  say(find("range"), "");
  links = {};
  for (const button of document.querySelectorAll("[data-rel]")) enable(button, false);
}

/** Show the filters as the state has them, and beside each what the service found wrong with it. */
function tellFields(faults) {
  for (const [argument, id] of Object.entries(FIELDS)) {
    say(find(`${id}-fault`), faults[argument]?.join("; ") ?? "");
    find(id).setAttribute("aria-invalid", String(Boolean(faults[argument])));
  }
  find("clear").hidden = !isFiltered(state) && !Object.keys(faults).length;
}

function showFilters() {
  for (const [id, name] of [["agent", "agent_id"], ["from", "from"], ["to", "to"]]) {
    if (find(id).value !== state[name]) find(id).value = state[name];
  }
}

function suggest(data) {
  for (const { agent_id: agent } of data) {
    if (!agents.has(agent)) find("agents").append(make("option", { value: agent }));
    agents.add(agent);
  }
}

function tick() {
  table.tick();
  const seconds = Math.round((Date.now() - seenAt) / 1000);
  say(find("updated"), seenAt ? `Updated ${timeOfDay(seenAt)}, ${seconds ? `${number(seconds)} s ago` : "just now"}` : "");
}

// --- the key ---

/** The key works: keep it, and show what it opens. */
function enter() {
  sessionStorage.setItem(STORED, key);
  find("key").value = "";
  reveal("work");
}

function reveal(id) {
  for (const part of ["gate", "work"]) find(part).hidden = part !== id;
  find("forget").hidden = id !== "work";
  document.querySelector(".skip").hidden = id !== "work";
  say(document.querySelector("#key-form button"), "Show sessions");
}

function showGate(fault) {
  reveal("gate");
  say(find("key-fault"), fault);
  find("key").setAttribute("aria-invalid", String(Boolean(fault)));
  find("key").focus();
}

/** Forget the key, and everything that was seen with it. */
function forget(message) {
  const worked = key === sessionStorage.getItem(STORED);
  asking.abort();
  clearTimeout(timer);
  sessionStorage.removeItem(STORED);
  key = null;
  seenAt = 0;
  kept.list = kept.days = {};
  showNothing();
  chart.refuse("");
  say(find("status"), "");
  find("agents").replaceChildren();
  agents.clear();
  say(find("organization"), "");
  find("organization").hidden = true;
  document.title = "Everruns Sessions";
  const why = worked ? "This key does not work any more: it has expired or was revoked." : "This key does not work: it is unknown, expired or revoked.";
  showGate(message ? `${why} Make one with: everruns create-key ORG. The service says: ${sentence(message)}` : "");
}

/** The key in what was pasted: without quotes, spaces, and the header around it. */
const pasted = (text) => text.replace(/["'`\s]+/g, " ").trim().replace(/^(-H )?(authorization ?: ?)?((bearer|apikey) )?/i, "");

find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = pasted(find("key").value);
  if (!/^evr_[\x21-\x7e]+$/.test(given)) return showGate("This is not a key: keys begin with evr_ and have no spaces. Make one with: everruns create-key ORG.");
  key = given;
  say(find("key-fault"), "");
  say(document.querySelector("#key-form button"), "Loading…");
  start();
});

// --- what the reader does ---

/** Change the state, tell it in the address bar, and ask for it. */
function go(change) {
  state = { ...state, ...change };
  history.pushState(null, "", address(state));
  showFilters();
  update();
}

const filter = (change) => go({ ...change, offset: "", pinned: "", open: "" });

function chooseDay(day) {
  const chosen = state.from === day && state.to === day;
  filter(chosen ? { from: "", to: "" } : { from: day, to: day });
}

function toggle(id) {
  const open = state.open === id ? "" : id;
  // While a row is open, it stays on the page, however many sessions are newer: here, and for who comes by this address.
  const isLive = !open && !Number(state.offset);
  const pinned = isLive ? "" : state.pinned || links.last?.pinned || "";
  const isOther = pinned !== state.pinned;
  state = { ...state, open, pinned };
  history.replaceState(null, "", address(state));
  table.show(kept.list, kept.list.url, open);
  if (isOther && !isLive) kept.list = { ...kept.list, url: sessionsUrl(state), etag: null }; // the same sessions
  showHeld(state.offset);
  if (isOther && isLive) update();
}

/** The chart of the weeks in which the newest session was created. */
async function showNewest() {
  try {
    const { body } = await get(newestUrl(state), key);
    const [newest] = body.data;
    if (newest) go({ until: addDays(newest.created_at.slice(0, 10), 3) });
    else chart.note("There is no session at all.", "");
  } catch (fault) {
    showFault(fault);
  }
}

/** A day was given: alone, it means that one day; and the chart shows it. */
function chooseDays(changed) {
  const given = { from: find("from"), to: find("to") };
  if (!given[changed].validity.valid) return; // as long as a year is being typed
  let [from, to] = [given.from.value, given.to.value];
  if (changed === "from" && from && (!to || to < from)) to = from;
  if (changed === "to" && to && to < from) from = to;
  if (from === state.from && to === state.to) return;
  const day = given[changed].value || from || to;
  const shown = kept.days.body;
  const elsewhere = day && shown && (day < shown.data[0].day || day > shown.until);
  const middle = elsewhere ? addDays(day, 14) : "";
  filter({ from, to, ...(elsewhere && { until: middle < today() ? middle : "" }) });
}

find("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  filter({ agent_id: find("agent").value.trim() });
});
find("agent").addEventListener("change", ({ target }) => {
  if (target.value.trim() !== state.agent_id) filter({ agent_id: target.value.trim() });
});
find("agent").addEventListener("input", ({ target }) => {
  if (agents.has(target.value) && target.value !== state.agent_id) filter({ agent_id: target.value });
});
for (const id of ["from", "to"]) find(id).addEventListener("change", () => chooseDays(id));
find("limit").addEventListener("change", ({ target }) => filter({ limit: target.value }));
onUse(find("clear"), () => {
  const isSize = [...find("limit").options].some((option) => option.value === state.limit);
  find("agent").focus(); // the button goes
  filter({ agent_id: "", from: "", to: "", until: "", limit: isSize ? state.limit : "" });
});
onUse(find("forget"), () => {
  state = read("");
  history.replaceState(null, "", address(state));
  showFilters();
  forget("");
});
onUse(find("notice").querySelector("button"), update);
for (const button of document.querySelectorAll("[data-rel]")) {
  onUse(button, () => {
    go({ ...links[button.dataset.rel], open: "" });
    find("sessions").scrollIntoView({ block: "start" });
  });
}

addEventListener("popstate", () => {
  state = read(location.search);
  showFilters();
  if (key) update();
});
addEventListener("online", look);
document.addEventListener("visibilitychange", look);
setInterval(tick, 1000);

function start() {
  showFilters();
  update();
}

if (key) {
  reveal("work");
  document.querySelector("table").hidden = true;
  find("instead").replaceChildren(make("p", { class: "muted" }, "Loading the sessions…"));
  find("instead").hidden = false;
  start();
} else showGate("");
