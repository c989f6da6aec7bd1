/** One LINE message object as a bubble (https://developers.line.biz: "Message objects"). */

import { el, icon, image, loadableUrl, openableUrl } from "./dom.js";
import { flexContainer, unknown } from "./flex.js";
import { showPicture } from "./sheets.js";
import { sticker } from "./stickers.js";
import { imagemap, template } from "./templates.js";
import { linked, textNodes, textV2Nodes } from "./texts.js";
import { t } from "./words.js";

const MAKERS = {
  text: (message) => said(textNodes(message)),
  textV2: (message) => said(textV2Nodes(message)),
  sticker: (message) => sticker(message.packageId, message.stickerId),
  image: photo,
  video: film,
  audio: sound,
  location: place,
  coupon,
  template,
  imagemap,
  flex: (message, onTap) => flexContainer(message.contents, onTap),
};

/** The types that stand in a coloured bubble; the others bring their own shape. */
export const SPOKEN = new Set(["text", "textV2"]);

/** A node for the message; `onTap(action)` hears taps on whatever carries an action. */
export function bubble(message, onTap) {
  const make = MAKERS[message?.type];
  if (!make) return unknown(message?.type);
  try {
    return make(message, onTap);
  } catch {
    return unknown(message.type);
  }
}

/** One line of plain text about a message, for lists and for readers of the screen. */
export function preview(message) {
  const named = {
    sticker: "say_sticker",
    image: "photo",
    video: "video",
    location: "say_location",
    coupon: "coupon",
  };
  return (
    message.text ??
    message.altText ??
    (named[message.type] ? `[${t(named[message.type])}]` : message.type)
  );
}

function said(nodes) {
  return el("div", { class: "said" }, nodes);
}

function photo(message) {
  const full = loadableUrl(message.originalContentUrl) ?? loadableUrl(message.previewImageUrl);
  return el(
    "button",
    {
      type: "button",
      class: "photo",
      "aria-label": t("photo_larger"),
      on: { click: () => showPicture(full) },
    },
    image(message.previewImageUrl ?? message.originalContentUrl, { alt: t("photo") }),
  );
}

function film(message) {
  return el("video", {
    class: "film",
    controls: true,
    preload: "none",
    "aria-label": t("video"),
    src: loadableUrl(message.originalContentUrl),
    poster: loadableUrl(message.previewImageUrl),
  });
}

function sound(message) {
  const seconds = Math.round((message.duration ?? 0) / 1000);
  const length = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const source = loadableUrl(message.originalContentUrl);
  return el(
    "div",
    { class: "sound" },
    el("span", { class: "sound-length", text: `🎧 ${t("audio", { length })}` }),
    el("audio", { controls: true, preload: "none", src: source }),
  );
}

function place(message) {
  const at = `${Number(message.latitude)},${Number(message.longitude)}`;
  return el(
    "a",
    {
      class: "place",
      href: openableUrl(`https://www.openstreetmap.org/?mlat=${at.replace(",", "&mlon=")}&zoom=17`),
      target: "_blank",
      rel: "noopener noreferrer",
      "aria-label": `${message.title ?? ""} — ${t("map_open")}`,
    },
    el("span", { class: "place-map", "aria-hidden": "true" }, icon("pin")),
    el("span", { class: "place-title", text: message.title || t("say_location") }),
    el("span", { class: "place-address", text: message.address || at }),
  );
}

function coupon(message) {
  return el(
    "div",
    { class: "coupon" },
    el("span", { class: "coupon-mark", "aria-hidden": "true", text: "🎟" }),
    el("strong", { text: message.title ?? t("coupon") }),
    el("span", { class: "coupon-id", text: message.couponId ?? "" }),
    el("span", { class: "coupon-lead" }, linked(t("coupon_lead"))),
  );
}
