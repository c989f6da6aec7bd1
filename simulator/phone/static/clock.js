/** The shop's clock, travelling in time, and what ran on the way. */

import { longDate, secondsUntilDay, secondsUntilHour, stamp, timeOfDay } from "./dates.js";
import { byId, el } from "./dom.js";
import { server } from "./server.js";
import { tried } from "./sheets.js";
import { known, t } from "./words.js";

const HOUR = 3600;
const DAY = 24 * HOUR;
const TRAVELS = { hour: HOUR, day: DAY, "3days": 3 * DAY, week: 7 * DAY };

/** `onTravelled(seconds)` is called when a travel is over. */
export class Clock {
  constructor(onTravelled) {
    this.onTravelled = onTravelled;
    this.isSimulated = false;
    this.ran = null;
    this.isMoving = false;
    this.set(new Date().toISOString());
    this.listen();
    setInterval(() => this.isSimulated || this.draw(), 1000);
  }

  listen() {
    for (const [name, seconds] of Object.entries(TRAVELS)) {
      byId(`travel-${name}`).addEventListener("click", () => this.travel(seconds));
    }
    byId("travel-evening").addEventListener("click", () =>
      this.travelUntil((now) => secondsUntilHour(now, 19)),
    );
    byId("travel-third-evening").addEventListener("click", () => this.travelToThirdEvening());
    byId("travel-free").addEventListener("submit", (event) => {
      event.preventDefault();
      this.travel(Number(byId("travel-number").value) * Number(byId("travel-unit").value));
    });
  }

  async load() {
    const answer = await tried(() => server.clock());
    if (!answer) return;
    this.isSimulated = answer.simulated;
    this.set(answer.now);
  }

  /** A simulated clock stands at `now`; a real one goes on from there. */
  set(now) {
    this.base = new Date(now).getTime();
    this.readAt = Date.now();
    this.draw();
  }

  now() {
    return new Date(this.base + (this.isSimulated ? 0 : Date.now() - this.readAt));
  }

  /** When the step falls due that a new friend's welcome has three days later. */
  travelToThirdEvening() {
    return this.travelUntil((now) => secondsUntilDay(now, 3, 19));
  }

  /** Ask the time anew, as the shop's may differ from what was last shown, and travel from there. */
  async travelUntil(secondsFrom) {
    await this.load();
    await this.travel(secondsFrom(this.now()));
  }

  async travel(seconds) {
    if (!(seconds > 0) || this.isMoving) return;
    this.moving(true);
    const answer = await tried(() => server.travel(Math.round(seconds)));
    this.moving(false);
    if (!answer) return;
    this.ran = answer.ran ?? [];
    this.set(answer.now);
    this.drawRan();
    this.onTravelled(seconds);
  }

  moving(isMoving) {
    this.isMoving = isMoving;
    this.draw();
  }

  draw() {
    const now = this.now();
    byId("clock-date").textContent = longDate(now);
    byId("clock-time").textContent = timeOfDay(now);
    byId("status-time").textContent = timeOfDay(now);
    byId("clock-kind").textContent = t(this.kind());
    byId("clock-panel").classList.toggle("moving", this.isMoving);
    byId("travel").disabled = !this.isSimulated || this.isMoving;
  }

  kind() {
    if (this.isMoving) return "clock_travelling";
    return this.isSimulated ? "clock_simulated" : "clock_real";
  }

  drawRan() {
    const empty = this.ran === null ? "ran_before" : "ran_none";
    byId("ran-empty").hidden = Boolean(this.ran?.length);
    byId("ran-empty").textContent = t(empty);
    byId("ran").replaceChildren(...(this.ran ?? []).map(ranRow));
  }
}

function ranRow({ at, what, count }) {
  return el(
    "li",
    {},
    el("time", { datetime: at, text: stamp(at) }),
    el("span", { class: "ran-what", text: known(`ran_${what}`) ?? what }),
    count > 0 && el("span", { class: "ran-count", text: t("ran_times", { n: count }) }),
  );
}
