// Pagination: the range that is shown, buttons for other pages, and the page size.

import { parseLinks } from "./api.js";
import { byId, create, onClick, setEnabled, setText } from "./dom.js";
import { formatNumber } from "./format.js";

const buttons = document.querySelectorAll("[data-rel]");

export class Pager {
  /** Call `onPage({offset, pinned})` for another page, `onLimit(limit)` for another page size. */
  constructor({ onPage, onLimit }) {
    this.links = {};
    for (const button of buttons) onClick(button, () => onPage(this.links[button.dataset.rel]));
    byId("limit").addEventListener("change", () => onLimit(byId("limit").value));
  }

  /** Show the position of a response, and announce it to screen readers when it has changed. */
  show({ body: { data, total, offset, limit }, link }, state) {
    const range = rangeText(data.length, total, offset);
    if (byId("range").textContent !== range) setText(byId("status"), total ? `Sessions ${range}` : range);
    setText(byId("range"), range);
    document.title = `${range} · Everruns Sessions`;
    this.links = parseLinks(link);
    for (const button of buttons) {
      const page = this.links[button.dataset.rel];
      setEnabled(button, page !== undefined && Number(page.offset) !== offset);
    }
    this.showPinned(state);
    if (!this.hasLimit(String(limit))) byId("limit").append(create("option", {}, String(limit)));
    byId("limit").value = limit;
  }

  /** Show whether newer sessions are left out, and how to see them. */
  showPinned({ pinned, open, offset }) {
    byId("pinned").hidden = !pinned;
    const isFirstPage = !Number(offset);
    setText(byId("pinned"), open && isFirstPage ? "Newer sessions appear when you close the row, or select First." : "Select First to see newer sessions.");
    if (pinned && this.links.first) setEnabled(document.querySelector('[data-rel="first"]'), true);
  }

  /** Return the timestamp before which the pages of the current response were created. */
  get pinned() {
    return this.links.last?.pinned ?? "";
  }

  hasLimit(limit) {
    return [...byId("limit").options].some((option) => option.value === limit);
  }

  clear() {
    setText(byId("range"), "");
    this.links = {};
    for (const button of buttons) setEnabled(button, false);
  }
}

function rangeText(count, total, offset) {
  if (!total) return "No sessions";
  return count ? `${formatNumber(offset + 1)}–${formatNumber(offset + count)} of ${formatNumber(total)}` : `0 of ${formatNumber(total)}`;
}
