/** Template messages (buttons, confirm, carousel, image carousel) and image maps. */

import { el, image, makeTappable } from "./dom.js";
import { carousel as row, unknown } from "./flex.js";
import { t } from "./words.js";

const TEMPLATES = { buttons, confirm, carousel, image_carousel: imageCarousel };

/** `onTap(action)` is called when something with an action is tapped. */
export function template(message, onTap) {
  const make = TEMPLATES[message.template?.type];
  return make ? make(message.template, onTap) : unknown(message.template?.type);
}

function buttons(part, onTap) {
  return card(part, part, onTap);
}

function confirm(part, onTap) {
  return el(
    "div",
    { class: "template template-confirm" },
    el("p", { class: "template-text", text: part.text ?? "" }),
    el("div", { class: "template-pair" }, actionButtons(part.actions, onTap)),
  );
}

function carousel(part, onTap) {
  const cards = (part.columns ?? []).map((column) => card(column, part, onTap));
  return row(cards);
}

function card(column, look, onTap) {
  const head = el(
    "div",
    { class: "template-head" },
    column.thumbnailImageUrl && thumbnail(column, look),
    column.title && el("p", { class: "template-title", text: column.title }),
    el("p", { class: "template-text", text: column.text ?? "" }),
  );
  if (column.defaultAction) {
    makeTappable(head, column.defaultAction.label, () => onTap(column.defaultAction));
  }
  return el("div", { class: "template" }, head, actionButtons(column.actions, onTap));
}

function thumbnail(column, look) {
  return image(column.thumbnailImageUrl, {
    class: "template-picture",
    style: {
      aspectRatio: look.imageAspectRatio === "square" ? "1 / 1" : "1.51 / 1",
      objectFit: look.imageSize === "contain" ? "contain" : "cover",
      backgroundColor: /^#[0-9a-f]{6}$/i.test(column.imageBackgroundColor)
        ? column.imageBackgroundColor
        : "",
    },
  });
}

function actionButtons(actions, onTap) {
  return (actions ?? []).map((action) =>
    el("button", {
      type: "button",
      class: "template-button",
      text: action.label ?? "",
      on: { click: () => onTap(action) },
    }),
  );
}

function imageCarousel(part, onTap) {
  const columns = (part.columns ?? []).map((column) => {
    const label = column.action?.label;
    const node = el(
      "div",
      { class: "image-column" },
      image(column.imageUrl, { class: "image-column-picture" }),
      label && el("span", { class: "image-column-label", text: label }),
    );
    return column.action ? makeTappable(node, label, () => onTap(column.action)) : node;
  });
  return row(columns);
}

/** LINE serves an image map at `baseUrl/WIDTH`; areas are in units of `baseSize` (1040 wide). */
export function imagemap(message, onTap) {
  const size = message.baseSize ?? { width: 1040, height: 1040 };
  const areas = (message.actions ?? []).map((action) => {
    const node = el("div", { class: "area", style: areaPlace(action.area ?? {}, size) });
    return makeTappable(node, action.label ?? action.text ?? action.linkUri, () =>
      onTap(plain(action)),
    );
  });
  return el(
    "div",
    { class: "imagemap", style: { aspectRatio: `${size.width} / ${size.height}` } },
    image(`${message.baseUrl}/700`, { alt: message.altText ?? t("imagemap") }),
    areas,
  );
}

/** Bounds in a picture of `size` as percentages, so that it may be shown at any width. */
export function areaPlace(bounds, size) {
  const share = (part, whole) => `${((part ?? 0) / whole) * 100}%`;
  return {
    left: share(bounds.x, size.width),
    top: share(bounds.y, size.height),
    width: share(bounds.width, size.width),
    height: share(bounds.height, size.height),
  };
}

/** Image maps name the address `linkUri`; everything else calls it `uri`. */
function plain(action) {
  return action.type === "uri" ? { ...action, uri: action.linkUri } : action;
}
