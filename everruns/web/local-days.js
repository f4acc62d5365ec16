// Sessions per day of a time zone. The API counts UTC days; days of another zone are counted one by one, when they may have changed.

import { activityUrl, CHART_DAYS, dayStatsUrl } from "./api.js";
import { addDays } from "./format.js";
import { timeZone } from "./time-zone.js";

let counted = new Map();

/** Return a response of `activityUrl(state)` with days of the time zone. `getStats(url)` requests numbers of sessions. */
export async function toLocalDays(response, state, getStats) {
  if (timeZone() === "UTC") return response;
  const { data, until } = response.body;
  const utcDays = new Map(data.map(({ day, sessions }) => [day, sessions]));
  const lastDay = addDays(until, -1);
  const days = Array.from({ length: CHART_DAYS }, (_, index) => addDays(lastDay, index - CHART_DAYS + 1));
  const previous = counted;
  const current = new Map();
  const counts = await Promise.all(
    days.map(async (day) => {
      const near = [-1, 0, 1].map((distance) => utcDays.get(addDays(day, distance)) ?? 0);
      if (!near.some(Boolean)) return 0;
      const url = dayStatsUrl(state, day);
      const key = `${activityUrl(state)} ${url} ${near}`;
      const count = previous.get(key) ?? (await getStats(url)).body.total;
      current.set(key, count);
      return count;
    }),
  );
  counted = current;
  const total = counts.reduce((sum, count) => sum + count, 0);
  return { ...response, body: { data: days.map((day, index) => ({ day, sessions: counts[index] })), total, until: lastDay } };
}
