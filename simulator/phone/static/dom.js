/** Building the page from values: text goes in as text, addresses only after a check. */

const OPENABLE = new Set(["http:", "https:", "tel:", "line:"]);
const LOADABLE = new Set(["http:", "https:", "data:"]);

/**
 * Make an element. `props` are attributes, except: `class`, `text` (text content), `style` (an
 * object set property by property), `dataset`, and `on` (event name to listener).
 * Children that are null, undefined or false are left out; strings become text nodes.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value !== null && value !== undefined && value !== false) setProp(node, name, value);
  }
  node.append(...children.flat().filter((child) => child || child === 0));
  return node;
}

function setProp(node, name, value) {
  if (name === "text") node.textContent = value;
  else if (name === "class") node.className = value;
  else if (name === "style") Object.assign(node.style, value);
  else if (name === "dataset") Object.assign(node.dataset, value);
  else if (name === "on") listen(node, value);
  else node.setAttribute(name, value === true ? "" : value);
}

function listen(node, listeners) {
  for (const [event, listener] of Object.entries(listeners)) node.addEventListener(event, listener);
}

export function byId(id) {
  return document.getElementById(id);
}

/** A drawn icon from the page's own sprite (`<symbol id="icon-…">` in index.html). */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** The address if a person may be sent there (http, https, tel, line), else null. */
export function openableUrl(address) {
  return checkedUrl(address, OPENABLE);
}

/** The address if a picture or sound may be loaded from it, else null. */
export function loadableUrl(address) {
  const checked = checkedUrl(address, LOADABLE);
  return checked?.startsWith("data:") && !/^data:image\/(png|jpeg|gif|webp);/.test(checked)
    ? null
    : checked;
}

function checkedUrl(address, schemes) {
  if (typeof address !== "string" || !address) return null;
  try {
    const url = new URL(address, location.href);
    return schemes.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** An image that turns into a quiet placeholder when it cannot be loaded. */
export function image(address, props = {}) {
  const source = loadableUrl(address);
  if (!source) return el("span", { class: `${props.class ?? ""} picture-missing`, text: "🖼" });
  const picture = el("img", { alt: "", draggable: "false", ...props, src: source });
  picture.addEventListener("error", () => picture.classList.add("picture-missing"), { once: true });
  return picture;
}

/** Let any element be tapped like a button, by pointer and by keyboard. */
export function makeTappable(node, label, onTap) {
  node.classList.add("tappable");
  node.setAttribute("role", "button");
  node.tabIndex = 0;
  if (label) node.setAttribute("aria-label", label);
  node.addEventListener("click", (event) => {
    event.stopPropagation();
    onTap();
  });
  node.addEventListener("keydown", (event) => {
    if (event.target !== node || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    event.stopPropagation();
    onTap();
  });
  return node;
}
