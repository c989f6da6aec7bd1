/** Who one can be: the list beside the phone, its search, and the making of a new person. */

import { dayOf, monthAndDay, timeOfDay } from "./dates.js";
import { byId, el, image } from "./dom.js";
import { server } from "./server.js";
import { sheet, submitted, tried } from "./sheets.js";
import { t } from "./words.js";

const PAGE = 40;
const PAUSE_MS = 200;

/** `onChoose(userId)` is called when someone is chosen; `now()` is the shop's time. */
export class People {
  constructor(onChoose, now) {
    this.onChoose = onChoose;
    this.now = now;
    this.items = null;
    this.total = 0;
    this.limit = PAGE;
    this.chosen = null;
    this.asked = 0;
    this.listen();
  }

  listen() {
    let timer;
    byId("people-search").addEventListener("input", () => {
      clearTimeout(timer);
      this.limit = PAGE;
      timer = setTimeout(() => this.load(), PAUSE_MS);
    });
    byId("people-new").addEventListener("click", () => this.addPerson());
    byId("people-rest").addEventListener("click", () => {
      this.limit += PAGE * 2;
      this.load();
    });
  }

  /** Fetch and draw; an answer overtaken by a later question is dropped. */
  async load() {
    const turn = ++this.asked;
    const found = await tried(() => server.people(byId("people-search").value, this.limit));
    if (!found || turn !== this.asked) return;
    this.items = found.items;
    this.total = found.total;
    this.draw();
  }

  choose(userId) {
    this.chosen = userId;
    this.draw();
  }

  /** The one on the phone has changed: show that without asking again. */
  update(person, lastMessage, lastAt) {
    const known = this.items?.find((item) => item.user_id === person.user_id);
    if (!known) return;
    Object.assign(known, person, { last_message: lastMessage, last_at: lastAt });
    this.draw();
  }

  draw() {
    if (!this.items) return;
    const featured = this.items.filter((item) => item.featured);
    const others = this.items.filter((item) => !item.featured);
    byId("people-list").replaceChildren(
      ...this.group("people_featured", featured),
      ...this.group("people_others", others),
    );
    const rest = this.total - this.items.length;
    byId("people-rest").hidden = rest <= 0;
    byId("people-rest").textContent = t("people_rest", { n: rest });
    byId("people-none").hidden = this.items.length > 0;
  }

  group(title, items) {
    if (!items.length) return [];
    return [
      el("li", { class: "people-group", text: t(title) }),
      ...items.map((item) => this.item(item)),
    ];
  }

  item(person) {
    const isChosen = person.user_id === this.chosen;
    const click = () => this.onChoose(person.user_id);
    return el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: "person",
          "aria-current": isChosen ? "true" : null,
          on: { click },
        },
        image(person.picture_url, { class: "person-picture" }),
        el(
          "span",
          { class: "person-words" },
          el("span", { class: "person-name", text: person.name }),
          // Whoever is recommended keeps their line: it says what to try, and 花's how to link.
          el("span", {
            class: "person-about",
            text: (!person.featured && person.last_message) || person.about || "",
          }),
        ),
        el(
          "span",
          { class: "person-side" },
          badge(person.status),
          lastTime(person.last_at, this.now()),
        ),
      ),
    );
  }

  async addPerson() {
    const field = el("input", { type: "text", required: true, maxlength: 20, autocomplete: "off" });
    const name = await sheet(t("people_new"), (close) =>
      el(
        "form",
        {
          class: "sheet-form",
          on: { submit: (event) => submitted(event, () => close(field.value.trim())) },
        },
        el("label", {}, t("people_new_name"), field),
        el("button", { type: "submit", class: "main-button", text: t("people_new_ok") }),
      ),
    );
    if (!name) return;
    const person = await tried(() => server.addPerson(name));
    if (!person) return;
    await this.load();
    this.onChoose(person.user_id);
  }
}

function badge(status) {
  return el("span", { class: `badge badge-${status}`, text: t(`status_${status}`) });
}

function lastTime(at, now) {
  if (!at) return null;
  const text = dayOf(at) === dayOf(now) ? timeOfDay(at) : monthAndDay(at);
  return el("time", { class: "person-time", datetime: at, text });
}
