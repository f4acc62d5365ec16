// Filter form: search, agent, status and days, each with its error message.

import { AgentPicker } from "./agent-picker.js";
import { Chips } from "./chips.js";
import { byId, create, onClick, setText } from "./dom.js";
import { addDays, today } from "./format.js";
import { isFiltered } from "./state.js";
import { Statuses } from "./statuses.js";
import { BROWSER_ZONE, keepTimeZone, timeZone } from "./time-zone.js";

const presets = byId("presets").querySelectorAll("button");

const TYPING_MS = 250; // without a key, before the search is requested
const FIELD_IDS = { search: "search", agent_id: "agent", status: "statuses", tag: "tags", created_after: "from", created_before: "to" }; // by argument of the API

export class Filters {
  /**
   * Call `onSearch(text, isContinued)`, `onAgent(id)`, `onStatus(status)`, `onDays(from, to, changedDay)`, `onRemove(change)`,
   * `onZone(name)` and `onClear()` for what the user changes, and `onOpen()` when the list of agents opens. `isContinued`: the text replaces one that was typed just before, and is no step of its own in the history.
   */
  constructor(names, { onSearch, onAgent, onStatus, onDays, onRemove, onZone, onClear, onOpen }) {
    this.onDays = onDays;
    this.listenToSearch(onSearch);
    this.agents = new AgentPicker(names, { onAgent, onOpen });
    for (const preset of presets) {
      preset.addEventListener("click", () => {
        const [from, to] = presetDays(preset);
        onDays(from, to, to);
      });
    }
    byId("zone").addEventListener("change", () => {
      keepTimeZone(byId("zone").value);
      onZone(byId("zone").value);
    });
    this.statuses = new Statuses({ onStatus });
    this.chips = new Chips(names, { onRemove });
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const id of ["from", "to"]) byId(id).addEventListener("change", () => this.submitDays(id));
    onClick(byId("clear"), () => {
      byId("search").focus(); // this button is about to be hidden
      onClear();
    });
  }

  /** Search while the user types, and at once with Enter or when the focus leaves the field. */
  listenToSearch(onSearch) {
    let timer;
    let isContinued = false;
    const submitSearch = () => {
      clearTimeout(timer);
      const text = byId("search").value.trim();
      if (text === this.state.search) return;
      onSearch(text, isContinued);
      isContinued = true;
    };
    byId("search").addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(submitSearch, TYPING_MS);
    });
    byId("search").addEventListener("change", () => {
      submitSearch();
      isContinued = false;
    });
  }

  /** Show the values of a state. */
  show(state) {
    this.state = state;
    if (byId("search").value.trim() !== state.search) byId("search").value = state.search;
    this.agents.show(state.agent_id);
    this.statuses.show(state.status);
    this.chips.show(state);
    byId("clear").hidden = !isFiltered(state);
    byId("zone").replaceChildren(...[...new Set(["UTC", BROWSER_ZONE, timeZone()])].map((name) => create("option", {}, name)));
    byId("zone").value = timeZone();
    for (const preset of presets) {
      const [from, to] = presetDays(preset);
      preset.setAttribute("aria-pressed", String(from === state.from && to === state.to));
    }
    for (const [id, value] of [["from", state.from], ["to", state.to]]) {
      if (byId(id).value !== value) byId(id).value = value;
    }
  }

  /** Show the messages of the API for its arguments, and return whether one of them is shown here. */
  showErrors(fields) {
    const names = Object.keys(fields).map((name) => name.replace(/\[.*/, "")); // without the position in an array
    const messages = Object.values(fields);
    for (const [argument, id] of Object.entries(FIELD_IDS)) {
      const error = messages[names.indexOf(argument)]?.join("; ") || (id === "agent" && this.agents.error) || "";
      setText(byId(`${id}-error`), error);
      if (byId(id)?.matches("input")) byId(id).setAttribute("aria-invalid", String(error !== ""));
    }
    byId("clear").hidden = !isFiltered(this.state) && !names.length;
    return names.some((name) => name in FIELD_IDS);
  }

  /** Show names that have arrived, in place of ids. */
  updateNames() {
    this.agents.update();
    this.chips.show(this.state);
  }

  /** Submit the days. A single day means that day only, and `from` is never after `to`. */
  submitDays(changedId) {
    const inputs = { from: byId("from"), to: byId("to") };
    if (!inputs[changedId].validity.valid) return; // a year is being typed
    let [from, to] = [inputs.from.value, inputs.to.value];
    if (changedId === "from" && from && (!to || to < from)) to = from;
    if (changedId === "to" && to && to < from) from = to;
    if (from === this.state.from && to === this.state.to) return;
    this.onDays(from, to, inputs[changedId].value || from || to);
  }
}

/** Return the days `[from, to]` of a preset. */
const presetDays = ({ dataset }) => [addDays(today(), Number(dataset.from)), addDays(today(), Number(dataset.to))];
