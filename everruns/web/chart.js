// The chart: a bar, which is a button, for each of 28 days. One stop for the Tab key; the arrows go from day to day.

import { enable, find, make, onUse, say } from "./dom.js";
import { addDays, dayBrief, dayName, monthName, number, sessions, today, weekdayName } from "./text.js";

const DAYS = 28;

export class Chart {
  /** `onDay(day)` when a bar is chosen, `onUntil(day)` when other weeks are, `onNewest()` for those of the newest session. */
  constructor(onDay, onUntil, onNewest) {
    this.bars = Array.from({ length: DAYS }, () => {
      const bar = make("button", { type: "button", tabindex: -1 }, make("span", { class: "fill" }), make("span", { class: "day" }), make("span", { class: "day" }));
      bar.addEventListener("click", () => onDay(bar.dataset.day));
      return bar;
    });
    this.bars.at(-1).tabIndex = 0;
    find("bars").addEventListener("focusin", ({ target }) => this.bars.forEach((bar) => (bar.tabIndex = bar === target ? 0 : -1)));
    find("bars").append(...this.bars);
    find("bars").addEventListener("keydown", (event) => this.move(event));
    onUse(find("earlier"), () => onUntil(addDays(this.until, -DAYS)));
    onUse(find("later"), () => onUntil(addDays(this.until, DAYS)));
    find("chart-note").querySelector("button").addEventListener("click", () => (this.refused ? onUntil("") : onNewest()));
  }

  /** Show an answer of `v1/sessions/activity`; the days from `from` to `to` are marked. `elsewhere`: there may be sessions of other days. */
  show({ data, total, until }, from, to, elsewhere) {
    this.until = until;
    const most = Math.max(...data.map((day) => day.sessions));
    const filtered = Boolean(from || to);
    data.forEach(({ day, sessions: count }, at) => {
      const bar = this.bars[at];
      const name = `${dayName(day)}: ${sessions(count)}`;
      bar.dataset.day = day;
      bar.title = name;
      bar.setAttribute("aria-label", name);
      bar.setAttribute("aria-pressed", String(filtered && day >= from && (!to || day <= to)));
      bar.firstChild.style.setProperty("height", count ? `max(3px, ${(100 * count) / most}%)` : "0");
      const date = Number(day.slice(8));
      say(bar.children[1], weekdayName(day));
      say(bar.children[2], date === 1 || at === 0 ? `${date} ${monthName(day)}` : String(date));
    });
    find("bars").classList.toggle("filtered", filtered);
    say(find("chart-range"), `${dayBrief(data[0].day)} to ${dayBrief(until)}, in UTC · ${sessions(total)}${total ? `, at most ${number(most)} a day · choose a day to see them` : ""}`);
    enable(find("later"), until < today());
    enable(find("earlier"), data[0].day > "0002-01-01");
    this.refused = false;
    this.note(total ? "" : `No session was created in these ${DAYS} days.`, elsewhere ? "Show the weeks around the newest session" : "");
  }

  /** Show no bars, and why; `action` is what can be done about it. Without a message, nothing at all. */
  refuse(message, action = "") {
    this.refused = true;
    say(find("chart-range"), "");
    this.note(message, action);
  }

  note(message, action) {
    const note = find("chart-note");
    note.hidden = !message;
    find("bars").hidden = this.refused;
    say(note.querySelector("span"), message);
    const button = note.querySelector("button");
    button.hidden = !action;
    say(button, action);
  }

  move(event) {
    const at = this.bars.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: DAYS - 1 }[event.key];
    if (at < 0 || !this.bars[to]) return;
    event.preventDefault();
    this.bars[to].focus();
  }
}
