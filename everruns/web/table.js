// The table: a row a session. A row whose session has not changed stays, with its focus and its selection.

import { details } from "./details.js";
import { make, say } from "./dom.js";
import { elements, indented } from "./json.js";
import { created, whenCreated } from "./text.js";

const MOST_TAGS = 4;
const MOST_FEATURES = 5;
const SHORT = 20; // characters of an id that is shown whole

export class Table {
  /** `onToggle(id)` when a row is to be opened or closed, `onAgent(id)` when an agent is chosen. */
  constructor(body, onToggle, onAgent) {
    this.body = body;
    this.rows = new Map();
    body.addEventListener("click", ({ target }) => {
      const agent = target.closest("button.agent");
      const row = target.closest("tr.session");
      if (agent) onAgent(agent.textContent);
      else if (row && (target.closest("button.open") || !selectedIn(row))) onToggle(row.dataset.id);
    });
    body.addEventListener("keydown", ({ key, target }) => {
      const row = target.closest("tr.detail")?.previousElementSibling ?? target.closest('[aria-expanded="true"]')?.closest("tr");
      if (key === "Escape" && row) {
        row.querySelector("button.open").focus();
        onToggle(row.dataset.id);
      }
    });
  }

  /** Show the sessions of an answer that came from `url`, and the one with the id `open` opened. */
  show(answer, url, open) {
    const rows = new Map();
    const wanted = [];
    answer.body.data.forEach((session, place) => {
      const text = JSON.stringify(session);
      const old = this.rows.get(session.id);
      const kept = old?.text === text ? old : { text, row: row(session), focused: focusIn(old?.row) };
      if (session.id !== open) kept.detail = null;
      else kept.detail ??= details(session, indented(elements(answer.text)[place]), url);
      mark(kept.row, session.id === open);
      rows.set(session.id, kept);
      wanted.push(kept.row, ...(kept.detail ? [kept.detail] : []));
    });
    this.rows = rows;
    place(this.body, wanted);
    for (const { row: made, focused } of rows.values()) if (focused) made.querySelector(focused)?.focus();
  }

  clear() {
    this.rows.clear();
    this.body.replaceChildren();
  }

  /** Tell again how long ago everything was. */
  tick() {
    for (const time of this.body.querySelectorAll("time")) {
      say(time, created(time.dateTime));
      time.title = whenCreated(time.dateTime);
    }
  }
}

function row(session) {
  const { id, title, agent_id, status, tags, features, created_at, model_id } = session;
  const made = make("tr", { role: "row", class: "session", "data-id": id });
  const cell = (name, ...content) => made.append(make("td", { role: "cell", "data-label": name }, ...content));
  const name = title?.trim() ? make("span", { dir: "auto", class: "title" }, title) : make("span", { class: "title muted" }, "Untitled");
  made.append(make("th", { role: "rowheader", scope: "row" }, make("button", { type: "button", class: "open", "aria-expanded": "false" }, name)));
  cell("Agent", make("button", { type: "button", class: "agent mono", "aria-label": agent_id, title: `Only sessions of ${agent_id}` }, ...middle(agent_id)));
  cell("Status", make("span", { class: `status ${status}` }, status));
  cell("Tags", ...some(tags, MOST_TAGS, "tag"));
  cell("Features", ...some(features, MOST_FEATURES, "feature"));
  cell("Created", make("time", { datetime: created_at, title: whenCreated(created_at) }, created(created_at)));
  cell("Model", model_id ? make("span", { class: "mono id", title: model_id }, ...middle(model_id)) : make("span", { class: "muted" }, "default"));
  return made;
}

/** The whole text; of a long one, where room is short, the middle is not seen. */
function middle(text) {
  const characters = [...text];
  if (characters.length <= SHORT) return [make("span", { class: "whole" }, text)];
  return [make("span", { class: "head" }, characters.slice(0, -6).join("")), make("span", {}, characters.slice(-6).join(""))];
}

/** Whether the reader has selected text of this row: a click that ends a selection opens nothing. */
function selectedIn(row) {
  const selection = getSelection();
  return String(selection) !== "" && selection.containsNode(row, true);
}

function some(texts, most, kind) {
  const shown = texts.slice(0, most).map((text) => make("span", { dir: "auto", class: kind }, text));
  if (texts.length > most) shown.push(make("span", { class: "more" }, `+${texts.length - most}`));
  return texts.length ? shown : [make("span", { class: "muted" }, "none")];
}

function mark(row, open) {
  const button = row.querySelector("button.open");
  button.setAttribute("aria-expanded", String(open));
  if (open) button.setAttribute("aria-controls", "detail");
  else button.removeAttribute("aria-controls");
}

function focusIn(row) {
  const focused = row?.contains(document.activeElement) && document.activeElement;
  return focused ? `.${focused.classList[0]}` : null;
}

/** Make `wanted` the children, without touching those that are in their place. */
function place(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
}
