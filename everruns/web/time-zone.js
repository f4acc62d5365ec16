// Time zone of all days and times on the page: UTC, that of the browser, or that of a shared link.

const STORAGE_NAME = "everruns-time-zone";

export const BROWSER_ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
let zone = "UTC";
let localFormat = createFormat(zone);

function createFormat(name) {
  return new Intl.DateTimeFormat("sv-SE", { timeZone: name, dateStyle: "short", timeStyle: "medium" }); // 2026-02-27 13:13:53
}

export const timeZone = () => zone;

/** Use this time zone from now on, and return an error message if there is no such zone. */
export function setTimeZone(name) {
  try {
    localFormat = createFormat(name);
    zone = name;
    return "";
  } catch {
    localFormat = createFormat("UTC");
    zone = "UTC";
    return `must be UTC or a time zone such as Europe/Berlin; got '${name}'`;
  }
}

/** Return the zone that was chosen in this browser, UTC if none was. */
export const keptTimeZone = () => localStorage.getItem(STORAGE_NAME) ?? "UTC";

export function keepTimeZone(name) {
  if (name === "UTC") localStorage.removeItem(STORAGE_NAME);
  else localStorage.setItem(STORAGE_NAME, name);
}

/** "2026-02-27 13:13:53" */
export const localTime = (milliseconds) => (zone === "UTC" ? new Date(milliseconds).toISOString().replace("T", " ").slice(0, 19) : localFormat.format(milliseconds));

/** Return the timestamp at which a day begins. */
export function dayStart(day) {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  if (zone === "UTC" || Number.isNaN(midnight)) return `${day}T00:00:00Z`;
  const offset = (instant) => Date.parse(`${localTime(instant).replace(" ", "T")}Z`) - instant;
  return new Date(midnight - offset(midnight - offset(midnight))).toISOString().replace(".000Z", "Z");
}
