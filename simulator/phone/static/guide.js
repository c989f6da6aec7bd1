/** Three first steps for a stranger; each is ticked off when done, and all can be put away. */

import { byId, el, icon } from "./dom.js";
import { t } from "./words.js";

const KEY = "okaeri-phone-guide";
const STEPS = ["follow", "tap", "travel"];
const NUMBERS = ["①", "②", "③"];

/** `run[step]` helps with a step when it is tapped. */
export class Guide {
  constructor(run) {
    this.run = run;
    this.state = stored();
    this.draw();
  }

  /** A step was done; doing it before its turn counts too. */
  done(step) {
    if (this.state[step]) return;
    this.state[step] = true;
    this.save();
  }

  close() {
    this.state.closed = true;
    this.save();
  }

  save() {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.state));
    } catch {
      // Without storage the guide is shown again next time.
    }
    this.draw();
  }

  draw() {
    const next = STEPS.find((step) => !this.state[step]);
    const node = byId("guide");
    node.hidden = Boolean(this.state.closed);
    // The style sheet lets the thing to touch next glow.
    document.body.dataset.guide = node.hidden ? "" : (next ?? "");
    node.replaceChildren(
      next ? this.steps(next) : el("p", { text: t("guide_done") }),
      this.closeButton(),
    );
  }

  steps(next) {
    return el(
      "ol",
      {},
      STEPS.map((step, nth) => el("li", {}, this.step(step, nth, next))),
    );
  }

  step(step, nth, next) {
    const isDone = Boolean(this.state[step]);
    return el(
      "button",
      {
        type: "button",
        class: isDone ? "done" : "",
        "aria-current": step === next ? "step" : null,
        on: { click: () => isDone || this.run[step]() },
      },
      el("span", { class: "guide-mark", text: isDone ? "✓" : NUMBERS[nth] }),
      t(`guide_${step}`),
    );
  }

  closeButton() {
    const label = t("guide_close");
    return el(
      "button",
      {
        type: "button",
        class: "plain guide-close",
        "aria-label": label,
        on: { click: () => this.close() },
      },
      icon("close"),
    );
  }
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
