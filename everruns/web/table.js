// Table of sessions. Rows of unchanged sessions are kept, with their focus and selection.

import { createDetails, createTag } from "./details.js";
import { byId, create, setText } from "./dom.js";
import { canonicalId, fullTime, shortTime } from "./format.js";
import { splitArray } from "./json.js";

const MAX_TAGS = 3;
const MAX_ID_LENGTH = 20; // a longer id is shortened in the middle

export class Table {
  /** Call `onToggle(id)` to open or close a row, `onAgent(id)` and `onTag(tag)` for a clicked agent or tag. */
  constructor(names, { onToggle, onAgent, onTag }) {
    this.names = names;
    this.table = document.querySelector("table");
    this.body = document.querySelector("tbody");
    this.rows = new Map();
    this.body.addEventListener("click", ({ target }) => {
      const agent = target.closest("button.agent");
      const tag = target.closest("button.tag");
      const row = target.closest("tr.session");
      if (tag) onTag(tag.textContent);
      else if (agent) onAgent(agent.dataset.agent);
      else if (row && (target.closest("button.open") || !hasSelection(row))) onToggle(row.dataset.id);
    });
  }

  /**
   * Show the sessions of a response: with the details of the session `open` of the state, and the text `search` marked.
   * `elsewhere`: the response with the open session, shown first if the list does not have it.
   */
  show({ body, text }, { open, search }, elsewhere) {
    const rows = new Map();
    const elements = [];
    const focused = [];
    const texts = splitArray(text, "data");
    const isOpen = ({ id }) => canonicalId(id) === canonicalId(open);
    const isOnPage = body.data.some(isOpen);
    const listed = body.data.map((session, index) => [session, texts[index]]);
    if (open && !isOnPage && elsewhere) listed.unshift([elsewhere.body, elsewhere.text.trim()]);
    for (const [session, sessionText] of listed) {
      const agentName = session.agent_id && this.names.agent(session.agent_id);
      const json = JSON.stringify([session, search, agentName, this.names.isLoaded]);
      const previous = this.rows.get(session.id);
      const entry = previous?.json === json ? previous : { json, row: createRow(session, search, agentName) };
      if (entry !== previous) focused.push([entry.row, focusedButton(previous?.row)]);
      if (!isOpen(session)) entry.details = null;
      else if (!entry.details || entry.isOnPage !== isOnPage) entry.details = createDetails(session, sessionText, this.names, isOnPage);
      entry.isOnPage = isOnPage;
      setExpanded(entry.row, isOpen(session));
      rows.set(session.id, entry);
      elements.push(entry.row, ...(entry.details ? [entry.details] : []));
    }
    this.rows = rows;
    replaceChildren(this.body, elements);
    for (const [row, index] of focused) row.querySelectorAll("button")[index]?.focus();
    this.table.hidden = !rows.size;
    byId("placeholder").hidden = Boolean(rows.size) || !byId("placeholder").dataset.steps;
  }

  get isEmpty() {
    return !this.rows.size;
  }

  /** Show `content` below the table, which may be empty. */
  showPlaceholder(...content) {
    delete byId("placeholder").dataset.steps;
    byId("placeholder").replaceChildren(...content);
    byId("placeholder").hidden = false;
  }

  /** Show nothing. */
  clear() {
    this.rows.clear();
    this.body.replaceChildren();
    this.showPlaceholder();
    this.table.hidden = byId("placeholder").hidden = true;
  }

  setBusy(isBusy) {
    if (isBusy) byId("sessions").setAttribute("aria-busy", "true");
    else byId("sessions").removeAttribute("aria-busy");
  }

  scrollToOpenRow() {
    this.body.querySelector('[aria-expanded="true"]')?.scrollIntoView({ block: "start" });
  }

  /** Refresh the relative times. */
  updateTimes() {
    for (const time of this.body.querySelectorAll("time")) {
      setText(time, shortTime(time.dateTime));
      time.title = fullTime(time.dateTime);
    }
  }
}

function createRow(session, search, agentName) {
  const { id, title, agent_id: agent, status, tags, created_at: createdAt, updated_at: updatedAt } = session;
  const row = create("tr", { role: "row", class: "session", "data-id": id });
  const addCell = (name, ...content) => row.append(create("td", { role: "cell", "data-label": name }, ...content));
  const name = title?.trim() ? create("span", { dir: "auto", class: "title" }, ...markMatches(title, search)) : create("span", { class: "title muted" }, "Untitled");
  row.append(create("th", { role: "rowheader", scope: "row" }, create("button", { type: "button", class: "open", "aria-expanded": "false" }, name)));
  addCell("Agent", agent ? createAgentButton(agent, agentName) : muted("no agent"));
  addCell("Status", create("span", { class: `status ${status}` }, status));
  addCell("Tags", ...tagButtons(tags, MAX_TAGS));
  for (const [name, time] of [["Created", createdAt], ["Updated", updatedAt]]) addCell(name, create("time", { datetime: time, title: fullTime(time) }, shortTime(time)));
  return row;
}

function createAgentButton(id, name) {
  const attributes = { type: "button", "data-agent": id, title: `Only sessions of ${name ? `${name}, ${id}` : id}` };
  if (name) return create("button", { class: "agent", ...attributes }, create("span", { dir: "auto", class: "start" }, name));
  return create("button", { class: "agent mono", "aria-label": id, ...attributes }, ...shortened(id));
}

/** Return the text with each match of `search` in a <mark>. */
function markMatches(text, search) {
  if (!search) return [text];
  const pattern = new RegExp(`(${search.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")})`, "giu");
  return text.split(pattern).map((part, index) => (index % 2 ? create("mark", {}, part) : part));
}

const muted = (text) => create("span", { class: "muted" }, text);

/** Return the whole text in two parts; the style sheet cuts the first one where there is no room. */
function shortened(text) {
  const characters = [...text];
  if (characters.length <= MAX_ID_LENGTH) return [create("span", { class: "whole" }, text)];
  return [create("span", { class: "start" }, characters.slice(0, -6).join("")), create("span", {}, characters.slice(-6).join(""))];
}

/** Return whether text of this row is selected: a click that ends a selection must not open the row. */
function hasSelection(row) {
  const selection = getSelection();
  return String(selection) !== "" && selection.containsNode(row, true);
}

function tagButtons(tags, maximum) {
  const elements = tags.slice(0, maximum).map(createTag);
  if (tags.length > maximum) elements.push(create("span", { class: "more" }, `+${tags.length - maximum}`));
  return elements.length ? [create("span", {}, ...elements)] : [];
}

function setExpanded(row, isOpen) {
  const button = row.querySelector("button.open");
  button.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) button.setAttribute("aria-controls", "details");
  else button.removeAttribute("aria-controls");
}

/** Return which button of the row has the focus, -1 for none. */
function focusedButton(row) {
  const focused = row?.contains(document.activeElement) && document.activeElement;
  return focused ? [...row.querySelectorAll("button")].indexOf(focused) : -1;
}

/** Replace the children of `parent`, without touching those that stay in place: moving an element drops its focus. */
function replaceChildren(parent, children) {
  const kept = new Set(children);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}
