// Numbers, days and timestamps as text. A day is `2026-02-27`, in the time zone of the page.

import { localTime, timeZone } from "./time-zone.js";

const DAY = /^\d{4}-\d\d-\d\d$/;
const DAY_MS = 86_400_000;
const UNIT_SECONDS = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

const relative = new Intl.RelativeTimeFormat("en", { style: "short" });
const format = (options) => new Intl.DateTimeFormat("en-GB", options);
const longDate = format({ weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
const shortDate = format({ day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const month = format({ month: "short", timeZone: "UTC" });
const weekday = format({ weekday: "short", timeZone: "UTC" });

/** Return an id in the form in which two ids of the same record are equal. */
export const canonicalId = (id) => id.replaceAll("-", "").toLowerCase();

export const formatNumber = (value) => value.toLocaleString();
export const formatCount = (count) => `${formatNumber(count)} ${count === 1 ? "session" : "sessions"}`;

/** Return whether this day exists; Date.parse reads 31 February as a day in March. */
export const isDay = (text) => DAY.test(text) && !Number.isNaN(Date.parse(text)) && addDays(text, 0) === text;
export const today = () => localTime(Date.now()).slice(0, 10);
export const addDays = (day, count) => new Date(Date.parse(day) + count * DAY_MS).toISOString().slice(0, 10);
/** "Tuesday 17 November 2026" */
export const longDay = (day) => longDate.format(Date.parse(day)).replace(",", "");
/** "17 Nov 2026" */
export const shortDay = (day) => shortDate.format(Date.parse(day));
export const monthName = (day) => month.format(Date.parse(day));
export const weekdayName = (day) => weekday.format(Date.parse(day));

/** "12:03:05" */
export const clockTime = (milliseconds) => localTime(milliseconds).slice(11);

/** "3 hr ago" */
export function relativeTime(timestamp) {
  const seconds = (Date.parse(timestamp) - Date.now()) / 1000;
  const [unit, size] = UNIT_SECONDS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / size), unit).replace(".", "");
}

/** "3 hr ago"; after a day "17 Nov, 10:00"; in another year "17 Nov 2025". */
export function shortTime(timestamp) {
  const time = Date.parse(timestamp);
  if (Math.abs(Date.now() - time) < DAY_MS) return relativeTime(timestamp);
  const [day, clock] = localTime(time).split(" ");
  return day.slice(0, 4) === today().slice(0, 4) ? `${shortDay(day).slice(0, -5)}, ${clock.slice(0, 5)}` : shortDay(day);
}

/** "2026-11-17 10:00:00.000000 UTC" */
export const exactTime = (timestamp) => `${localTime(Date.parse(timestamp))}${timestamp.slice(19, -1)} ${timeZone()}`;

/** "3 days ago: 2026-11-17 10:00:00 UTC" */
export const fullTime = (timestamp) => `${relativeTime(timestamp)}: ${exactTime(timestamp)}`;

/** Return a message as a sentence, so that another sentence can follow. */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** Return a query string of the pairs that have a value. */
export const queryString = (pairs) => String(new URLSearchParams(pairs.filter(([, value]) => value))).replaceAll("%3A", ":");
