// The filters in force, each with a button that removes it.

import { byId, create } from "./dom.js";
import { shortDay, isDay } from "./format.js";
import { timeZone } from "./time-zone.js";

export class Chips {
  /** Call `onRemove(change)` with the change of the state that removes a filter. */
  constructor(names, { onRemove }) {
    this.names = names;
    this.onRemove = onRemove;
  }

  /** Show the filters of a state. */
  show(state) {
    const { search, agent_id: agent, status, tags, from, to } = state;
    const chips = [];
    const add = (name, value, change) => chips.push(this.create(name, value, change));
    if (search) add("Search", search, { search: "" });
    if (agent) add("Agent", this.names.agent(agent) ?? agent, { agent_id: "" });
    if (status) add("Status", status, { status: "" });
    for (const tag of tags) add("Tag", tag, { tags: tags.filter((other) => other !== tag) });
    if (from || to) add("Created", `${describeDays(from, to)} (${timeZone()})`, { from: "", to: "" });
    const focused = [...byId("chips").children].indexOf(document.activeElement);
    byId("chips").replaceChildren(...chips);
    if (focused >= 0) (chips[Math.min(focused, chips.length - 1)] ?? byId("search")).focus();
  }

  create(name, value, change) {
    const chip = create("button", { type: "button", class: "chip", title: `Remove this filter: ${name} ${value}` });
    chip.append(create("span", { class: "visually-hidden" }, "Remove filter "), create("span", { class: "muted" }, `${name} `), create("span", { dir: "auto", class: "value" }, value), create("span", { "aria-hidden": "true" }, " ×"));
    chip.addEventListener("click", () => this.onRemove(change));
    return chip;
  }
}

function describeDays(from, to) {
  const text = (day) => (isDay(day) ? shortDay(day) : day);
  if (from === to) return text(from);
  if (!to) return `from ${text(from)}`;
  return from ? `${text(from)} to ${text(to)}` : `until ${text(to)}`;
}
