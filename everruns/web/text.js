// Numbers, days and instants, as a person reads them. Days are UTC days, `2026-02-27`.

const DAY = /^\d{4}-\d\d-\d\d$/;
const UNITS = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

const relative = new Intl.RelativeTimeFormat("en", { style: "short" });
const form = (options) => new Intl.DateTimeFormat("en-GB", options);
const named = form({ weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
const brief = form({ day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const month = form({ month: "short", timeZone: "UTC" });
const weekday = form({ weekday: "short", timeZone: "UTC" });
const dayTime = form({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const clock = form({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const local = form({ dateStyle: "medium", timeStyle: "medium" });

export const number = (value) => value.toLocaleString();
export const sessions = (count) => `${number(count)} ${count === 1 ? "session" : "sessions"}`;

/** Whether there is such a day: Date.parse takes 31 February for one in March. */
export const isDay = (text) => DAY.test(text) && !Number.isNaN(Date.parse(text)) && addDays(text, 0) === text;
export const today = () => new Date().toISOString().slice(0, 10);
export const addDays = (day, count) => new Date(Date.parse(day) + count * 86400e3).toISOString().slice(0, 10);
/** "Tuesday 17 November 2026" */
export const dayName = (day) => named.format(Date.parse(day)).replace(",", "");
export const dayBrief = (day) => brief.format(Date.parse(day));
export const monthName = (day) => month.format(Date.parse(day));
export const weekdayName = (day) => weekday.format(Date.parse(day));

/** "12:03:05", here and now. */
export const timeOfDay = (milliseconds) => clock.format(milliseconds);

/** "3 hr ago" */
export function ago(instant, now = Date.now()) {
  const seconds = (Date.parse(instant) - now) / 1000;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / size), unit).replace(".", "");
}

/** "3 hr ago"; after a day "17 Nov, 10:00", and of another year "17 Nov 2025": in UTC, as the days of the filters are. */
export function created(instant, now = Date.now()) {
  const at = Date.parse(instant);
  if (Math.abs(now - at) < 86400e3) return ago(instant, now);
  return new Date(at).getUTCFullYear() === new Date(now).getUTCFullYear() ? dayTime.format(at) : brief.format(at);
}

/** Everything about when: "3 days ago: 2026-11-17 10:00:00 UTC (…)" */
export const whenCreated = (instant) => `${ago(instant)}: ${exact(instant)}`;

/** Of a message a sentence: one more can follow it. */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** The instant as it is stored, and what the reader's own clock said. */
export const exact = (instant) => `${instant.replace("T", " ").replace("Z", " UTC")} (${local.format(Date.parse(instant))} your time)`;
