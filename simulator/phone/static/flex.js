/** Flex messages as DOM: bubbles, carousels, boxes and what stands in them. */

import { el, image, loadableUrl, makeTappable } from "./dom.js";
import {
  aspectRatio,
  boxLook,
  bubbleWidth,
  colour,
  imageSize,
  length,
  placement,
  sideways,
  textLook,
  textSize,
} from "./flex_style.js";
import { t } from "./words.js";

const COMPONENTS = {
  box,
  text,
  button,
  image: picture,
  icon: smallIcon,
  separator,
  filler,
  video,
  span: text,
};
const ROOT = { layout: "vertical" };

/**
 * The container of a flex message. `onTap(action)` is called for any component with an action.
 * What is not known becomes a small note; one broken part leaves the others standing.
 */
export function flexContainer(container, onTap) {
  if (container?.type === "carousel") {
    const bubbles = (container.contents ?? []).map((each) => guarded(bubble, each, onTap));
    return carousel(bubbles);
  }
  return guarded(bubble, container, onTap);
}

/** A row of cards that scrolls sideways and stops at each. */
export function carousel(cards) {
  return el(
    "div",
    { class: "carousel", tabindex: 0, role: "group", "aria-label": t("carousel") },
    cards,
  );
}

function guarded(make, part, ...rest) {
  try {
    return make(part, ...rest);
  } catch {
    return unknown(part?.type);
  }
}

export function unknown(type) {
  return el("span", { class: "unknown", text: t("unknown", { type: String(type ?? "?") }) });
}

function bubble(container, onTap) {
  if (container?.type !== "bubble") return unknown(container?.type);
  const node = el("div", {
    class: `flex-bubble flex-${container.size ?? "mega"}`,
    dir: container.direction === "rtl" ? "rtl" : null,
    style: { width: bubbleWidth(container.size) },
  });
  const names = ["header", "hero", "body", "footer"].filter((name) => container[name]);
  names.forEach((name, nth) => node.append(block(container, name, nth === 0, onTap)));
  return tappable(node, container, onTap);
}

function block(container, name, isFirst, onTap) {
  const style = container.styles?.[name] ?? {};
  const node = el("div", {
    class: `flex-block flex-${name}`,
    style: {
      backgroundColor: colour(style.backgroundColor) ?? "",
      ...(style.separator && !isFirst
        ? { borderTop: `1px solid ${colour(style.separatorColor) ?? "#d4d6da"}` }
        : {}),
    },
  });
  node.append(component(container[name], ROOT, true, onTap));
  return node;
}

function component(part, parent, isFirst, onTap) {
  const make = COMPONENTS[part?.type];
  if (!make) return unknown(part?.type);
  const node = guarded(make, part, onTap, parent);
  Object.assign(node.style, placement(part, parent, isFirst));
  return part.type === "button" ? node : tappable(node, part, onTap);
}

function tappable(node, part, onTap) {
  if (!part.action) return node;
  return makeTappable(node, part.action.label, () => onTap(part.action));
}

function box(part, onTap) {
  const node = el("div", { class: `flex-box flex-${part.layout}`, style: boxLook(part) });
  (part.contents ?? []).forEach((child, nth) => {
    node.append(component(child, part, nth === 0, onTap));
  });
  return node;
}

function text(part) {
  const node = el("div", { class: "flex-text", style: textLook(part) });
  if (part.wrap) node.classList.add("flex-wrap");
  if (["start", "center", "end"].includes(part.align)) node.style.textAlign = part.align;
  if (part.maxLines > 0 && part.wrap) {
    node.classList.add("flex-clamp");
    node.style.webkitLineClamp = String(part.maxLines);
  }
  spaceLines(node, part);
  if (part.gravity && part.gravity !== "top") centreDown(node, part.gravity);
  if (part.contents?.length) node.append(...part.contents.map(span));
  else node.textContent = part.text ?? "";
  return node;
}

/** LINE's lineSpacing is added between lines, so it comes on top of the natural line height. */
function spaceLines(node, part) {
  const extra = length(part.lineSpacing);
  if (extra) node.style.lineHeight = `calc(1.4em + ${extra})`;
}

function centreDown(node, gravity) {
  node.style.alignContent = gravity === "center" ? "center" : "end";
}

function span(part) {
  return el("span", { style: textLook(part), text: part.text ?? "" });
}

function button(part, onTap) {
  const style = ["primary", "secondary"].includes(part.style) ? part.style : "link";
  const node = el("button", {
    type: "button",
    class: `flex-button flex-button-${style} flex-button-${part.height === "sm" ? "sm" : "md"}`,
    text: part.action?.label ?? "",
    on: {
      click: (event) => {
        event.stopPropagation();
        if (part.action) onTap(part.action);
      },
    },
  });
  if (colour(part.color)) paint(node, style, part.color);
  return node;
}

/** `color` is the background of a filled button and the lettering of a link. */
function paint(node, style, value) {
  node.style[style === "link" ? "color" : "backgroundColor"] = value;
}

function picture(part) {
  const width = imageSize(part.size ?? "md") ?? "100px";
  const inner = image(part.url, {
    class: "flex-image-inner",
    style: {
      aspectRatio: aspectRatio(part.aspectRatio),
      objectFit: part.aspectMode === "cover" ? "cover" : "contain",
      backgroundColor: colour(part.backgroundColor) ?? "",
      width,
    },
  });
  const node = el(
    "div",
    { class: "flex-image", style: { justifyContent: sideways(part.align) } },
    inner,
  );
  if (part.gravity) node.style.alignItems = sideways({ top: "start", bottom: "end" }[part.gravity]);
  return node;
}

function smallIcon(part) {
  return image(part.url, {
    class: "flex-icon",
    style: {
      height: textSize(part.size ?? "md") ?? "16px",
      aspectRatio: aspectRatio(part.aspectRatio),
    },
  });
}

function separator(part, onTap, parent) {
  const isUpright = parent.layout !== "vertical";
  return el("div", {
    class: isUpright ? "flex-separator flex-upright" : "flex-separator",
    style: { backgroundColor: colour(part.color) ?? "" },
  });
}

function filler() {
  return el("div", { class: "flex-filler" });
}

/** The film itself where its address can be loaded, else what the message gives instead. */
function video(part, onTap) {
  const source = loadableUrl(part.url);
  if (!source && part.altContent) return component(part.altContent, ROOT, true, onTap);
  return el("video", {
    class: "flex-video",
    controls: true,
    preload: "none",
    src: source,
    poster: loadableUrl(part.previewUrl),
    style: { aspectRatio: aspectRatio(part.aspectRatio) },
  });
}
