// Details of a session: all of its fields, its raw JSON, and the curl command that requests it.

import { create, setText } from "./dom.js";
import { exactTime } from "./format.js";

/** Create the table row below a session's row. `json` is the session as text, `url` the request that returned it. */
export function createDetails(session, json, url) {
  const fields = create("dl", {});
  const addField = (name, ...content) => fields.append(create("div", {}, create("dt", {}, name), create("dd", {}, ...content)));
  const labels = (kind, texts) => texts.map((text) => create("span", { dir: "auto", class: kind }, text));
  if (session.title) addField("Title", create("span", { dir: "auto", class: "text" }, session.title));
  if (session.tags.length) addField("Tags", ...labels("tag", session.tags));
  if (session.features.length) addField("Features", ...labels("feature", session.features));
  addField("Created", exactTime(session.created_at));
  addField("Updated", exactTime(session.updated_at));
  const cell = create("td", { role: "cell", colspan: 7 }, fields, createCodeBlock("Raw JSON", json), createCodeBlock("curl command", curlCommand(url)));
  cell.append(create("p", { class: "muted" }, "The command does not contain your key: replace $KEY, or run KEY=evr_… first."));
  return create("tr", { role: "row", id: "details", class: "details" }, cell);
}

function curlCommand(url) {
  return `curl -H "Authorization: Bearer $KEY" '${new URL(url, document.baseURI).href.replaceAll("'", "%27")}'`;
}

function createCodeBlock(name, text) {
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
