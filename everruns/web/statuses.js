// Filter by status: a button for each, with the number of sessions.

import { byId, setText } from "./dom.js";
import { formatNumber } from "./format.js";

const buttons = byId("statuses").querySelectorAll("button");

export class Statuses {
  /** Call `onStatus(status)` for a chosen status, with "" for all. */
  constructor({ onStatus }) {
    for (const button of buttons) button.addEventListener("click", () => onStatus(button.dataset.status));
  }

  /** Mark the status of the state. */
  show(status) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.status === status));
  }

  /** Show a response of `v1/sessions/stats`; without one, no numbers. */
  showCounts(counts) {
    for (const button of buttons) {
      const count = counts?.[button.dataset.status || "total"];
      setText(button.querySelector("span"), count === undefined ? "" : formatNumber(count));
    }
  }
}
