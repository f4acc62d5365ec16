// Keys that work wherever the focus is.

import { byId } from "./dom.js";

/** Listen to `/`, `j`, `k` and Esc; Enter opens the focused row by itself. Call `onClose()` to close the open row. */
export function listenToKeys({ onClose }) {
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || byId("app").hidden) return;
    if (key === "Escape") close(target, onClose);
    else if (target.closest("input, select, textarea")) return;
    else if (key === "j" || key === "k") moveFocus(key === "j" ? 1 : -1);
    else if (key === "/") {
      event.preventDefault();
      byId("search").focus();
      byId("search").select();
    }
  });
}

/** Close the open row; else leave the field, so that the other keys work. The browser itself empties the search. */
function close(target, onClose) {
  const button = document.querySelector('.open[aria-expanded="true"]');
  if (target === byId("search") && target.value) return;
  if (button) {
    button.focus();
    onClose();
  } else target.blur();
}

/** Focus the next or previous row, from the row that has the focus or is open. */
function moveFocus(distance) {
  const buttons = [...document.querySelectorAll("button.open")];
  const row = document.activeElement.closest("tr.details")?.previousElementSibling ?? document.activeElement.closest("tr.session");
  const index = buttons.findIndex((button) => (row ? row.contains(button) : button.ariaExpanded === "true"));
  const next = buttons[index < 0 ? (distance > 0 ? 0 : buttons.length - 1) : index + distance];
  next?.focus();
}
