// Keys that work wherever the focus is.

import { byId } from "./dom.js";

/** Return whether this element takes the keys itself. */
const takesText = (element) => element.closest("input, select, textarea") !== null;

/** Focus the search with `/`. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("app").hidden || takesText(event.target)) return;
    if (event.key === "/") {
      event.preventDefault();
      byId("search").focus();
      byId("search").select();
    }
  });
}
