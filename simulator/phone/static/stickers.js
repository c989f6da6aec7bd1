/**
 * Stand-ins for LINE's sticker and emoji art, which may not be copied: a face or thing chosen by
 * id, so that the same sticker always looks the same.
 */

import { el } from "./dom.js";
import { t } from "./words.js";

const FACES = [
  "😊",
  "🐻",
  "🐰",
  "🎉",
  "🙏",
  "😂",
  "❤️",
  "👍",
  "🐱",
  "☕",
  "🍰",
  "😴",
  "🥹",
  "🐶",
  "✨",
  "🙌",
  "😭",
  "🌸",
  "🐼",
  "🍀",
  "😎",
  "🎁",
  "🐥",
  "🤝",
];
const COLOURS = ["#fff1d6", "#e0f4ff", "#ffe3ec", "#e3f6df", "#efe6ff", "#fdeadf"];
const SMALL = ["🙂", "💚", "⭐", "🌟", "☀️", "🎵", "🎈", "🍩", "🌷", "💫", "🐾", "☕"];

/** Sendable stickers to choose from: LINE's "Moon: Special Edition" package. */
export const CHOICES = Array.from({ length: 12 }, (_, nth) => ({
  package_id: "446",
  sticker_id: String(1988 + nth),
}));

function number(...ids) {
  let sum = 0;
  for (const character of ids.join("/")) sum = (sum * 31 + character.codePointAt(0)) >>> 0;
  return sum;
}

/** A sticker as a big face in a soft shape. */
export function sticker(packageId, stickerId) {
  const chosen = /^\d+$/.test(stickerId) ? Number(stickerId) : number(packageId, stickerId);
  return el("span", {
    class: "sticker",
    role: "img",
    "aria-label": t("sticker_one", { id: stickerId }),
    style: { backgroundColor: COLOURS[chosen % COLOURS.length] },
    text: FACES[chosen % FACES.length],
  });
}

/** A LINE emoji inside a line of text. */
export function lineEmoji(productId, emojiId) {
  const face = SMALL[number(productId, emojiId) % SMALL.length];
  return el("span", { class: "line-emoji", role: "img", "aria-label": "emoji", text: face });
}
