// Field to choose an agent: a list of all agents that narrows while a name or an id is typed.

import { byId, create, setText } from "./dom.js";
import { canonicalId, formatNumber } from "./format.js";
import { displayName } from "./names.js";

const MAX_OPTIONS = 100;
const ID = /^agent_/i;

const field = byId("agent");
const list = byId("agents");

export class AgentPicker {
  /** Call `onAgent(id)` for a chosen agent, with "" for any agent, and `onOpen()` when the list opens. */
  constructor(names, { onAgent, onOpen }) {
    this.names = names;
    this.onAgent = onAgent;
    this.error = "";
    field.addEventListener("focus", () => {
      field.select();
      onOpen();
    });
    for (const event of ["click", "input"]) field.addEventListener(event, () => this.open());
    field.addEventListener("keydown", (event) => this.handleKey(event));
    field.addEventListener("blur", () => {
      this.close();
      this.submit();
    });
    list.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the focus in the field
    list.addEventListener("click", ({ target }) => this.choose(target.closest("[data-id]")));
  }

  /** Show the agent of the state: its name if known, else the id. */
  show(id) {
    this.id = id;
    this.error = "";
    this.text = id && (this.names.agent(id) ?? id);
    if (field.value !== this.text) field.value = this.text;
  }

  /** Update the names and the counts, also while the list is open. */
  update() {
    const isTyped = field.value.trim() !== this.text;
    this.text = this.id && (this.names.agent(this.id) ?? this.id);
    if (!isTyped && field.value !== this.text) field.value = this.text;
    if (!list.hidden) this.open();
  }

  open() {
    const typed = field.value.trim() === this.text ? "" : field.value.trim();
    const found = this.find(typed);
    const options = found.slice(0, MAX_OPTIONS).map((agent) => this.createOption(agent));
    if (!typed) options.unshift(createOption("", create("span", {}, "Any agent")));
    if (found.length > MAX_OPTIONS) options.push(createHint(`${formatNumber(found.length - MAX_OPTIONS)} more: type a part of the name`));
    if (!options.length) options.push(createHint("No agent has this name."));
    list.replaceChildren(...options);
    this.setActive(typed ? list.querySelector("[data-id]") : null);
    list.hidden = false;
    field.setAttribute("aria-expanded", "true");
  }

  close() {
    list.hidden = true;
    this.setActive(null);
    field.setAttribute("aria-expanded", "false");
  }

  /** Return the agents whose name contains this text, or whose id begins with it. */
  find(text) {
    const [part, id] = [text.toLowerCase(), canonicalId(text)];
    return [...this.names.agents.values()].filter((agent) => displayName(agent).toLowerCase().includes(part) || agent.name.toLowerCase().includes(part) || (ID.test(text) && canonicalId(agent.id).startsWith(id)));
  }

  createOption(agent) {
    const { id, session_counts: counts, status } = agent;
    const name = displayName(agent);
    const isAmbiguous = [...this.names.agents.values()].some((other) => other !== agent && displayName(other) === name);
    const notes = [formatNumber(counts.total), ...(counts.active ? [`${formatNumber(counts.active)} active`] : []), ...(status === "archived" ? ["archived"] : [])];
    const option = createOption(id, create("span", { dir: "auto" }, name), create("span", { class: "muted" }, ` ${notes.join(" · ")}`));
    if (isAmbiguous) option.append(create("span", { class: "mono muted" }, ` …${id.slice(-6)}`));
    option.setAttribute("aria-selected", String(canonicalId(id) === canonicalId(this.id)));
    return option;
  }

  setActive(option) {
    this.active?.classList.remove("active");
    this.active = option;
    option?.classList.add("active");
    option?.scrollIntoView({ block: "nearest" });
    if (option) field.setAttribute("aria-activedescendant", option.id);
    else field.removeAttribute("aria-activedescendant");
  }

  handleKey(event) {
    const { key } = event;
    if (key === "Enter") {
      event.preventDefault();
      if (this.active) this.choose(this.active);
      else this.submit();
    } else if (key === "Escape" && !list.hidden) {
      event.stopPropagation();
      this.close();
      field.value = this.text;
    } else if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) this.open();
      const options = [...list.querySelectorAll("[data-id]")];
      const index = options.indexOf(this.active);
      const next = key === "ArrowDown" ? index + 1 : index < 0 ? options.length - 1 : index - 1;
      if (options[next]) this.setActive(options[next]);
    }
  }

  choose(option) {
    if (!option) return;
    const { id } = option.dataset;
    this.close();
    if (canonicalId(id) === canonicalId(this.id)) this.show(this.id);
    else this.onAgent(id);
  }

  /** Choose the agent that was typed: by its id, its whole name, or a part that only one name has. */
  submit() {
    const text = field.value.trim();
    if (text === this.text) return;
    this.close();
    const found = text ? this.find(text) : [];
    const named = found.filter((agent) => [displayName(agent), agent.name].some((name) => name.toLowerCase() === text.toLowerCase()));
    const [agent, other] = named.length ? named : found;
    if (!text || ID.test(text)) this.onAgent(text);
    else if (agent && !other) this.onAgent(agent.id);
    else {
      const rule = agent ? "must be one agent; several have this name: choose one in the list" : "must be the name or id of an agent";
      this.error = `${rule}; got '${text}'`;
      setText(byId("agent-error"), this.error);
      field.setAttribute("aria-invalid", "true");
    }
  }
}

function createOption(id, ...content) {
  return create("li", { role: "option", id: `option-${id}`, "data-id": id, "aria-selected": "false" }, ...content);
}

const createHint = (text) => create("li", { role: "option", "aria-disabled": "true", class: "muted" }, text);
