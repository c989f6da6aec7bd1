/** Times as people in the shop's time zone read them. The simulator's shop is in Japan. */

import { language } from "./words.js";

const ZONE = "Asia/Tokyo";
const HOUR = 3600;
const DAY = 24 * HOUR;

function format(moment, options) {
  const locale = language() === "ja" ? "ja-JP" : "en-GB";
  return new Intl.DateTimeFormat(locale, { timeZone: ZONE, ...options }).format(new Date(moment));
}

/** "14:05" */
export function timeOfDay(moment) {
  return format(moment, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

/** "2026年11月22日(日)" */
export function longDate(moment) {
  return format(moment, { year: "numeric", month: "long", day: "numeric", weekday: "short" });
}

/** "11月22日(日)", as between the days of a chat. */
export function shortDate(moment) {
  return format(moment, { month: "long", day: "numeric", weekday: "short" });
}

/** "11/22" */
export function monthAndDay(moment) {
  return format(moment, { month: "numeric", day: "numeric" });
}

/** "11/22 14:05" */
export function stamp(moment) {
  return `${monthAndDay(moment)} ${timeOfDay(moment)}`;
}

/** "2026-11-22": the calendar day in the shop's zone, for comparing. */
export function dayOf(moment) {
  const options = { timeZone: ZONE, year: "numeric", month: "2-digit", day: "2-digit" };
  return new Intl.DateTimeFormat("sv-SE", options).format(new Date(moment));
}

/** "2026-11-22T14:05": what a datetime-local field takes. */
export function fieldValue(moment) {
  const time = new Intl.DateTimeFormat("ja-JP", {
    timeZone: ZONE,
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(new Date(moment));
  return `${dayOf(moment)}T${time}`;
}

/** Seconds from `moment` to the next time the clock in Tokyo shows `hour` o'clock (never 0). */
export function secondsUntilHour(moment, hour) {
  // Japan has no summer time, so the offset is a constant nine hours.
  const sinceMidnight = (Math.floor(new Date(moment).getTime() / 1000) + 9 * HOUR) % DAY;
  return (hour * HOUR - sinceMidnight + DAY) % DAY || DAY;
}

/** Seconds from `moment` to `hour` o'clock in Tokyo, `days` (1 or more) calendar days later. */
export function secondsUntilDay(moment, days, hour) {
  const sinceMidnight = (Math.floor(new Date(moment).getTime() / 1000) + 9 * HOUR) % DAY;
  return days * DAY + hour * HOUR - sinceMidnight;
}
