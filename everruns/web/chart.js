// Bar chart of sessions per day. Each bar is a button; arrow keys move between the bars.

import { CHART_DAYS } from "./api.js";
import { byId, create, onClick, setEnabled, setText } from "./dom.js";
import { addDays, formatCount, formatNumber, longDay, monthName, shortDay, today, weekdayName } from "./format.js";
import { isFiltered } from "./state.js";
import { timeZone } from "./time-zone.js";

export class Chart {
  /** Call `onDay(day)` for a clicked bar, `onLastDay(day)` for other weeks, `onNewest()` for the weeks of the newest session. */
  constructor({ onDay, onLastDay, onNewest }) {
    this.lastDay = today();
    this.bars = Array.from({ length: CHART_DAYS }, () => {
      const bar = create("button", { type: "button", tabindex: -1 }, create("span", { class: "fill" }), create("span", { class: "day" }), create("span", { class: "day" }));
      bar.addEventListener("click", () => onDay(bar.dataset.day));
      return bar;
    });
    this.bars.at(-1).tabIndex = 0;
    byId("bars").append(...this.bars);
    byId("bars").addEventListener("focusin", ({ target }) => this.bars.forEach((bar) => (bar.tabIndex = bar === target ? 0 : -1)));
    byId("bars").addEventListener("keydown", (event) => this.moveFocus(event));
    onClick(byId("earlier"), () => onLastDay(addDays(this.lastDay, -CHART_DAYS)));
    onClick(byId("later"), () => onLastDay(addDays(this.lastDay, CHART_DAYS)));
    byId("chart-note").querySelector("button").addEventListener("click", () => (this.isUnavailable ? onLastDay(today()) : onNewest()));
  }

  /**
   * Show a response of `v1/sessions/activity` and mark the days `from` to `to` of the state.
   * `hasOtherDays`: there may be sessions on days that are not shown.
   */
  show({ data, total, until }, state, hasOtherDays) {
    const { from, to } = state;
    this.firstDay = data[0].day;
    this.lastDay = until;
    const highest = Math.max(...data.map((day) => day.sessions));
    const hasDays = Boolean(from || to);
    data.forEach(({ day, sessions: count }, index) => {
      const bar = this.bars[index];
      const label = `${longDay(day)}: ${formatCount(count)}`;
      bar.dataset.day = day;
      bar.title = label;
      bar.setAttribute("aria-label", label);
      bar.setAttribute("aria-pressed", String(hasDays && day >= from && (!to || day <= to)));
      bar.firstChild.style.setProperty("height", count ? `max(3px, ${(100 * count) / highest}%)` : "0");
      const date = Number(day.slice(8));
      setText(bar.children[1], weekdayName(day));
      setText(bar.children[2], date === 1 || index === 0 ? `${date} ${monthName(day)}` : String(date));
    });
    setText(byId("chart-range"), `${shortDay(this.firstDay)} to ${shortDay(until)} (${timeZone()}) · ${formatCount(total)}${total ? ` · at most ${formatNumber(highest)} a day · select a day to filter` : ""}${isFiltered(state, "agent_id", "from", "to") ? " · filtered by agent only" : ""}`);
    setEnabled(byId("later"), until < today());
    setEnabled(byId("earlier"), this.firstDay > "0002-01-01");
    this.isUnavailable = false;
    if (!this.hasScrolled) byId("bars").scrollLeft = byId("bars").scrollWidth; // to the latest days, where not all fit
    this.hasScrolled = true;
    this.showNote(total ? "" : `No sessions were created in these ${CHART_DAYS} days.`, hasOtherDays ? "Show the weeks around the newest session" : "");
  }

  /** Show a message and the label of a button in place of the bars; without a message, nothing. */
  showUnavailable(message, action = "") {
    this.isUnavailable = true;
    setText(byId("chart-range"), "");
    this.showNote(message, action);
  }

  showNote(message, action) {
    const note = byId("chart-note");
    note.hidden = !message;
    byId("bars").hidden = this.isUnavailable;
    setText(note.querySelector("span"), message);
    const button = note.querySelector("button");
    button.hidden = !action;
    setText(button, action);
  }

  /** Return whether the chart shows this day. */
  isShown(day) {
    return day >= this.firstDay && day <= this.lastDay;
  }

  moveFocus(event) {
    const index = this.bars.indexOf(document.activeElement);
    const target = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: CHART_DAYS - 1 }[event.key];
    if (index < 0 || !this.bars[target]) return;
    event.preventDefault();
    this.bars[target].focus();
  }
}
