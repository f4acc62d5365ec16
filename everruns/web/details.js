// What a row opens to: the session whole, its raw JSON, and the curl that fetched it.

import { make, say } from "./dom.js";
import { exact } from "./text.js";

/** The row under a session's row. `json` is its text; `url` is where it came from. */
export function details(session, json, url) {
  const facts = make("dl", {});
  const fact = (name, ...content) => facts.append(make("div", {}, make("dt", {}, name), make("dd", {}, ...content)));
  const chips = (kind, texts) => texts.map((text) => make("span", { dir: "auto", class: kind }, text));
  if (session.title) fact("Title", make("span", { dir: "auto", class: "text" }, session.title));
  if (session.tags.length) fact("Tags", ...chips("tag", session.tags));
  if (session.features.length) fact("Features", ...chips("feature", session.features));
  fact("Created", exact(session.created_at));
  fact("Updated", exact(session.updated_at));
  const cell = make("td", { role: "cell", colspan: 7 }, facts, block("Raw JSON", json), block("The curl that fetched it", curl(url)));
  cell.append(make("p", { class: "muted" }, "The curl is without your key: put it in place of $KEY, or run KEY=evr_… first."));
  return make("tr", { role: "row", id: "detail", class: "detail" }, cell);
}

function curl(url) {
  return `curl -H "Authorization: Bearer $KEY" '${new URL(url, document.baseURI).href.replaceAll("'", "%27")}'`;
}

function block(name, text) {
  const shown = make("pre", { tabindex: 0, role: "region", "aria-label": name }, text);
  const button = make("button", { type: "button" }, "Copy");
  button.append(make("span", { class: "unseen" }, ` ${name}`));
  const told = make("span", { class: "muted", role: "status" });
  button.addEventListener("click", async () => say(told, await copy(text, shown)));
  return make("div", { class: "block" }, make("div", { class: "line" }, make("h3", {}, name), told, button), shown);
}

/** Copy `text`; where the browser does not allow that (http from elsewhere), select it for the reader to copy. */
async function copy(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(shown);
    return "Selected: copy it with Ctrl+C or ⌘C";
  }
}
