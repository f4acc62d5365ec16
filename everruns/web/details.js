// Details of a session: all of its fields, its raw JSON, and the curl command that requests it.

import { sessionUrl } from "./api.js";
import { create, setText } from "./dom.js";
import { exactTime } from "./format.js";
import { indent, splitArray } from "./json.js";

/** Create the table row below a session's row. `json` is the session as text; `isOnPage`: it is in the list that is shown. */
export function createDetails(session, json, names, isOnPage) {
  const { id, organization_id: organization, harness_id: harness, agent_id: agent, model_id: model } = session;
  const fields = create("dl", {});
  const addField = (name, ...content) => fields.append(create("div", {}, create("dt", {}, name), create("dd", {}, ...content)));
  const labels = (kind, texts) => texts.map((text) => create("span", { dir: "auto", class: kind }, text));
  if (session.title) addField("Title", create("span", { dir: "auto", class: "text" }, session.title));
  if (session.tags.length) addField("Tags", ...session.tags.map(createTag));
  addField("Id", ...createId("session", id));
  addField("Organization", ...createId("organization", organization, names.organization?.name));
  addField("Harness", ...createId("harness", harness, names.harness(harness)));
  addField("Agent", ...(agent ? createId("agent", agent, names.agent(agent)) : ["none"]));
  addField("Model", ...(model ? createId("model", model) : ["default"]));
  addField("Capabilities", ...(session.capabilities.length ? createCapabilities(session.capabilities, json) : ["none of its own"]));
  addField("Features", ...(session.features.length ? labels("feature", session.features) : ["none"]));
  addField("Created", exactTime(session.created_at));
  addField("Updated", exactTime(session.updated_at));
  const cell = create("td", { role: "cell", colspan: 6 }, fields, createCodeBlock("Raw JSON", indent(json)), ...createCurl(curlCommand(sessionUrl(id))));
  if (!isOnPage) cell.prepend(create("p", { class: "muted" }, "This session is not on this page of the list."));
  return create("tr", { role: "row", id: "details", class: "details" }, cell);
}

/** Create a button that filters by this tag. */
export const createTag = (tag) => create("button", { type: "button", dir: "auto", class: "tag", title: `Only sessions with the tag ${tag}` }, tag);

/** Create the elements of an id: the name that it stands for, the id, and a button that copies it. */
function createId(kind, id, name) {
  const text = create("span", { class: "mono" }, id);
  const result = create("span", { class: "muted", role: "status" });
  const button = create("button", { type: "button", class: "copy", "aria-label": `Copy ${kind} id` }, "Copy");
  button.addEventListener("click", async () => setText(result, await copy(id, text)));
  return [...(name ? [create("span", { dir: "auto" }, name), " "] : []), text, " ", button, " ", result];
}

/** Create the elements of capabilities; `json` has the numbers of a configuration as they are stored. */
function createCapabilities(capabilities, json) {
  const texts = splitArray(json, "capabilities");
  return capabilities.map(({ ref, config }, index) => {
    const element = create("div", {}, create("span", { class: "mono" }, ref));
    const text = texts[index];
    if (config) element.append(create("pre", { tabindex: 0, role: "region", "aria-label": `Configuration of ${ref}` }, indent(text.slice(text.indexOf('"config":') + 9, -1))));
    return element;
  });
}

/** Return a curl command for this URL; `options` end with a space. */
export function curlCommand(url, options = "") {
  return `curl ${options}-H "Authorization: Bearer $KEY" '${new URL(url, document.baseURI).href.replaceAll("'", "%27")}'`;
}

/** Create the elements of a curl command, and a hint. */
export function createCurl(command) {
  const hint = "The command does not contain your key: replace $KEY, or run KEY=evr_… first.";
  return [createCodeBlock("curl command", command), create("p", { class: "muted" }, hint)];
}

/** Create a block of text with a heading and a button that copies it. */
export function createCodeBlock(name, text) {
  const code = create("pre", { tabindex: 0, role: "region", "aria-label": name }, text);
  const button = create("button", { type: "button" }, "Copy");
  button.append(create("span", { class: "visually-hidden" }, ` ${name}`));
  const result = create("span", { class: "muted", role: "status" });
  button.addEventListener("click", async () => setText(result, await copy(text, code)));
  return create("div", { class: "block" }, create("div", { class: "line" }, create("h3", {}, name), result, button), code);
}

/** Copy `text`, or select it where the browser has no clipboard: on plain HTTP from another machine. */
async function copy(text, code) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    return "Selected: copy it with Ctrl+C or ⌘C";
  }
}
