/**
 * From the properties of a Flex component to CSS: keywords, pixels and percentages as in LINE's
 * Messaging API reference, "Flex Message". A value that is none of these is left out.
 */

const SPACING = { none: 0, xs: 2, sm: 4, md: 8, lg: 12, xl: 16, xxl: 20 };
const TEXT = {
  xxs: 11,
  xs: 13,
  sm: 14,
  md: 16,
  lg: 19,
  xl: 22,
  xxl: 29,
  "3xl": 35,
  "4xl": 48,
  "5xl": 74,
};
const IMAGE = {
  xxs: 40,
  xs: 60,
  sm: 80,
  md: 100,
  lg: 120,
  xl: 140,
  xxl: 160,
  "3xl": 180,
  "4xl": 200,
  "5xl": 220,
};
const BORDER = { none: 0, light: 0.5, normal: 1, medium: 2, "semi-bold": 3, bold: 4 };
const BUBBLE = { nano: 120, micro: 160, deca: 220, hecto: 241, kilo: 260, mega: 300, giga: 386 };
const SELF = { top: "flex-start", center: "center", bottom: "flex-end" };
const SIDE = { start: "flex-start", center: "center", end: "flex-end" };
const JUSTIFY = new Set([
  "flex-start",
  "center",
  "flex-end",
  "space-between",
  "space-around",
  "space-evenly",
]);
const ITEMS = new Set(["flex-start", "center", "flex-end"]);

/** A CSS length from a keyword of `keywords`, "12px" or "50%"; undefined when it is neither. */
export function length(value, keywords = SPACING) {
  if (typeof value !== "string") return undefined;
  if (Object.hasOwn(keywords, value)) return `${keywords[value]}px`;
  return /^-?\d+(\.\d+)?(px|%)$/.test(value) ? value : undefined;
}

/** "#RRGGBB" or "#RRGGBBAA", else undefined. */
export function colour(value) {
  return /^#([0-9a-f]{6}|[0-9a-f]{8})$/i.test(value ?? "") ? value : undefined;
}

export const textSize = (value) => length(value, TEXT);
export const imageSize = (value) => (value === "full" ? "100%" : length(value, IMAGE));
export const bubbleWidth = (size) => `${BUBBLE[size] ?? BUBBLE.mega}px`;

/** "20:13" as a CSS aspect ratio; LINE's default is square. */
export function aspectRatio(value) {
  const match = /^(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)$/.exec(value ?? "1:1");
  return match ? `${match[1]} / ${match[2]}` : "1 / 1";
}

/** How a component sits among its siblings: share of space, margin before it, offsets. */
export function placement(component, parent, isFirst) {
  return {
    ...share(component, parent),
    ...marginBefore(component, parent, isFirst),
    ...offsets(component),
    ...gravity(component, parent),
  };
}

/**
 * In a horizontal or baseline box children share the width by `flex` (1 unless said, separators
 * and icons nothing); in a vertical box they take their own height unless `flex` is given.
 */
function share(component, parent) {
  if (component.position === "absolute") return {};
  const across = parent.layout !== "vertical";
  if (component.type === "filler") return { flex: `${component.flex ?? 1} 1 0` };
  const flex = component.flex ?? (across && takesShare(component) ? 1 : 0);
  if (flex === 0) return { flex: "0 0 auto" };
  return { flex: across ? `${flex} 1 0` : `${flex} 0 auto` };
}

function takesShare(component) {
  if (component.type === "box") return component.width === undefined;
  return component.type !== "icon" && component.type !== "separator";
}

function marginBefore(component, parent, isFirst) {
  const margin = length(component.margin) ?? (isFirst ? undefined : length(parent.spacing));
  if (!margin || component.position === "absolute") return {};
  return parent.layout === "vertical" ? { marginTop: margin } : { marginInlineStart: margin };
}

function offsets(component) {
  const style = {
    top: length(component.offsetTop),
    bottom: length(component.offsetBottom),
    insetInlineStart: length(component.offsetStart),
    insetInlineEnd: length(component.offsetEnd),
  };
  const isMoved = Object.values(style).some((value) => value !== undefined);
  if (component.position === "absolute") style.position = "absolute";
  else if (isMoved) style.position = "relative";
  return defined(style);
}

function gravity(component, parent) {
  if (parent.layout !== "horizontal" || !SELF[component.gravity]) return {};
  return { alignSelf: SELF[component.gravity] };
}

/** The look of a box: direction, size, padding, colours, border, corners. */
export function boxLook(box) {
  return defined({
    flexDirection: box.layout === "vertical" ? "column" : "row",
    alignItems: box.layout === "baseline" ? "baseline" : oneOf(ITEMS, box.alignItems),
    justifyContent: oneOf(JUSTIFY, box.justifyContent),
    width: length(box.width),
    maxWidth: length(box.maxWidth),
    height: length(box.height),
    maxHeight: length(box.maxHeight),
    backgroundColor: colour(box.backgroundColor),
    backgroundImage: gradient(box.background),
    borderRadius: length(box.cornerRadius),
    ...border(box),
    ...padding(box),
  });
}

function border(box) {
  const width = length(box.borderWidth, BORDER);
  if (width === undefined && !colour(box.borderColor)) return {};
  return {
    borderStyle: "solid",
    borderWidth: width ?? "1px",
    borderColor: colour(box.borderColor) ?? "#000000",
  };
}

function padding(box) {
  return {
    padding: length(box.paddingAll),
    paddingTop: length(box.paddingTop),
    paddingBottom: length(box.paddingBottom),
    paddingInlineStart: length(box.paddingStart),
    paddingInlineEnd: length(box.paddingEnd),
  };
}

function gradient(background) {
  if (background?.type !== "linearGradient") return undefined;
  const { angle, startColor, centerColor, centerPosition, endColor } = background;
  if (!/^\d+(\.\d+)?deg$/.test(angle) || !colour(startColor) || !colour(endColor)) return undefined;
  const middle = colour(centerColor) ? `${centerColor} ${length(centerPosition) ?? "50%"}, ` : "";
  return `linear-gradient(${angle}, ${startColor}, ${middle}${endColor})`;
}

/** The look of text and of a span inside it. */
export function textLook(text) {
  return defined({
    fontSize: textSize(text.size),
    color: colour(text.color),
    fontWeight: text.weight === "bold" ? "700" : undefined,
    fontStyle: text.style === "italic" ? "italic" : undefined,
    textDecoration: ["underline", "line-through"].includes(text.decoration)
      ? text.decoration
      : undefined,
  });
}

/** Where a picture or button stands in the width it is given. */
export const sideways = (align) => SIDE[align] ?? "center";

function oneOf(allowed, value) {
  return allowed.has(value) ? value : undefined;
}

function defined(style) {
  return Object.fromEntries(Object.entries(style).filter(([, value]) => value !== undefined));
}
