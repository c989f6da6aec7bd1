/** The foot of the phone: typing, the ＋ menu, quick replies, and the rich menu with its bar. */

import { byId, el, image, makeTappable } from "./dom.js";
import { choose, sheet } from "./sheets.js";
import { CHOICES, sticker } from "./stickers.js";
import { areaPlace } from "./templates.js";
import { t } from "./words.js";

const PLACES = [
  {
    title: "横浜駅",
    address: "神奈川県横浜市西区高島2丁目",
    latitude: 35.4658,
    longitude: 139.6223,
  },
  {
    title: "みなとみらい",
    address: "神奈川県横浜市西区みなとみらい",
    latitude: 35.4574,
    longitude: 139.6327,
  },
  { title: "東京駅", address: "東京都千代田区丸の内1丁目", latitude: 35.6812, longitude: 139.7671 },
  {
    title: "札幌駅",
    address: "北海道札幌市北区北6条西4丁目",
    latitude: 43.0687,
    longitude: 141.3508,
  },
];
const TALLEST_FIELD = 110;

/** `on` has `act(what, body)` and `tap(action)`, both async. */
export class Composer {
  constructor(on) {
    this.on = on;
    this.richMenu = null;
    this.menuId = null;
    this.isMenuOpen = false;
    this.hasKeyboard = true;
    this.usedReplies = new Set();
    this.field = byId("field");
    this.listen();
  }

  listen() {
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field.addEventListener("keydown", (event) => this.keyDown(event));
    this.field.addEventListener("input", () => this.fit());
    byId("more").addEventListener("click", () => this.more());
    byId("to-keyboard").addEventListener("click", () => this.keyboard());
    byId("to-menu").addEventListener("click", () => this.menuMode(true));
    byId("menu-bar").addEventListener("click", () => this.menuMode(!this.isMenuOpen));
  }

  /** Enter sends, but not the Enter that ends a Japanese conversion (keyCode 229 in Safari). */
  keyDown(event) {
    const isConverting = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || isConverting) return;
    event.preventDefault();
    this.send();
  }

  async send() {
    const text = this.field.value.trim();
    if (!text) return;
    this.type("");
    const answer = await this.on.act("say", { text });
    if (!answer && !this.field.value) this.type(text);
  }

  type(text) {
    this.field.value = text;
    this.fit();
  }

  fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, TALLEST_FIELD)}px`;
    byId("send").disabled = !this.field.value.trim();
  }

  /** Another person was chosen: nothing of the old one stays. */
  clear() {
    this.menuId = null;
    this.isMenuOpen = false;
    this.hasKeyboard = true;
    this.type("");
  }

  show(chat) {
    this.richMenu = chat.rich_menu;
    this.chooseMode();
    this.drawMenu();
    this.drawReplies(chat);
    this.fit();
  }

  /** A menu that was not there opens if it says `selected`; one switched for another stays open. */
  chooseMode() {
    const id = this.richMenu?.rich_menu_id ?? null;
    if (id === this.menuId) return;
    if (id === null) this.isMenuOpen = false;
    if (this.menuId === null && id !== null) this.isMenuOpen = Boolean(this.richMenu.selected);
    if (this.menuId === null || id === null) this.hasKeyboard = id === null;
    this.menuId = id;
  }

  drawMenu() {
    const { richMenu } = this;
    const foot = byId("foot");
    foot.classList.toggle("has-menu", Boolean(richMenu));
    foot.classList.toggle("with-keyboard", this.hasKeyboard);
    foot.classList.toggle("menu-open", this.isMenuOpen);
    const picture = byId("rich-menu");
    if (!richMenu || !this.isMenuOpen) picture.replaceChildren();
    else if (picture.dataset.shown !== richMenu.rich_menu_id || !picture.firstChild) {
      picture.replaceChildren(this.menuPicture(richMenu));
    }
    picture.dataset.shown = richMenu?.rich_menu_id ?? "";
    byId("menu-bar-text").textContent = richMenu?.chat_bar_text ?? "";
    byId("menu-bar").setAttribute("aria-expanded", String(this.isMenuOpen));
  }

  menuPicture(richMenu) {
    const { size } = richMenu;
    const areas = richMenu.areas.map(({ bounds, action }, nth) => {
      const node = el("div", { class: "area", style: areaPlace(bounds, size) });
      const label =
        action.label ?? action.displayText ?? action.text ?? t("rich_area", { n: nth + 1 });
      return makeTappable(node, label, () => this.on.tap(action));
    });
    return el(
      "div",
      { class: "rich-picture", style: pictureShape(size) },
      image(richMenu.image_url),
      areas,
    );
  }

  menuMode(isOpen) {
    this.hasKeyboard = false;
    this.isMenuOpen = isOpen;
    this.drawMenu();
  }

  /** Type instead of tapping; `text` is put into the field, as a postback may ask. */
  keyboard(text) {
    this.hasKeyboard = true;
    this.isMenuOpen = false;
    this.drawMenu();
    if (typeof text === "string") this.type(text);
    this.field.focus();
  }

  /** Follow a postback's `inputOption`, as the LINE app does. */
  obey(action) {
    if (action.inputOption === "closeRichMenu" && this.menuId) this.menuMode(false);
    if (action.inputOption === "openRichMenu" && this.menuId) this.menuMode(true);
    if (action.inputOption === "openKeyboard") this.keyboard(action.fillInText);
  }

  /** Only the very last message's quick replies are there, and only until one is used. */
  drawReplies(chat) {
    const last = chat.messages.findLast((entry) => entry.from !== "system");
    const items = last?.from === "bot" ? (last.message.quickReply?.items ?? []) : [];
    const row = byId("quick");
    row.hidden = items.length === 0 || this.usedReplies.has(last.id);
    if (row.dataset.of === last?.id && row.childElementCount === items.length) return;
    row.dataset.of = last?.id ?? "";
    row.replaceChildren(...items.map((item) => this.replyButton(item, last.id)));
    row.scrollLeft = 0;
  }

  replyButton({ action, imageUrl }, entryId) {
    const click = async () => {
      const answer = await this.on.tap(action);
      if (!answer) return;
      this.usedReplies.add(entryId);
      byId("quick").hidden = true;
    };
    return el(
      "button",
      { type: "button", class: "quick-reply", on: { click } },
      imageUrl && image(imageUrl, { class: "quick-icon" }),
      el("span", { text: action?.label ?? "" }),
    );
  }

  async more() {
    const what = await choose(t("say_more"), [
      { label: `😊 ${t("say_sticker")}`, value: "sticker" },
      { label: `🖼 ${t("say_photo")}`, value: "image" },
      { label: `📍 ${t("say_location")}`, value: "location" },
    ]);
    if (what === "image") await this.on.act("image");
    if (what === "sticker") await this.sendSticker();
    if (what === "location") await this.sendPlace();
  }

  async sendSticker() {
    const chosen = await sheet(t("sticker_choose"), (close) =>
      el(
        "div",
        { class: "sticker-choices" },
        CHOICES.map((each) => stickerButton(each, close)),
      ),
    );
    if (chosen) await this.on.act("sticker", chosen);
  }

  /** Ask where, and send it; undefined if the person thought better of it. */
  async sendPlace() {
    const choices = PLACES.map((place) => ({
      label: `${place.title}（${place.address}）`,
      value: place,
    }));
    const place = await choose(t("location_choose"), choices);
    return place && this.on.act("location", place);
  }
}

/** As wide as the phone, but never so high that nothing of the chat is left. */
function pictureShape({ width, height }) {
  return { aspectRatio: `${width} / ${height}`, maxWidth: `calc(46dvh * ${width / height})` };
}

function stickerButton(choice, close) {
  return el(
    "button",
    { type: "button", class: "sticker-choice", on: { click: () => close(choice) } },
    sticker(choice.package_id, choice.sticker_id),
  );
}
