/** Text messages: links, LINE emoji, mentions, line breaks (kept by CSS `white-space`). */

import { el, openableUrl } from "./dom.js";
import { lineEmoji } from "./stickers.js";

const LINK = /https?:\/\/[!-~]+/g;
const TRAILING = /[.,;:!?)\]}'"]+$/;
const PLACEHOLDER = /\{\{|\}\}|\{([0-9A-Za-z_]{1,20})\}/g;

/** Nodes for plain text, with addresses made into links. */
export function linked(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    const address = match[0].replace(TRAILING, "");
    nodes.push(text.slice(from, match.index), link(address));
    from = match.index + address.length;
  }
  nodes.push(text.slice(from));
  return nodes;
}

function link(address) {
  const href = openableUrl(address);
  if (!href) return address;
  return el("a", { href, target: "_blank", rel: "noopener noreferrer", text: address });
}

/** Nodes of a `text` message; `emojis` name the `$` they replace by UTF-16 index. */
export function textNodes(message) {
  const text = String(message.text ?? "");
  const nodes = [];
  let from = 0;
  for (const emoji of inOrder(message.emojis)) {
    if (text[emoji.index] !== "$" || emoji.index < from) continue;
    nodes.push(...linked(text.slice(from, emoji.index)), lineEmoji(emoji.productId, emoji.emojiId));
    from = emoji.index + 1;
  }
  return [...nodes, ...linked(text.slice(from))];
}

function inOrder(emojis) {
  return [...(emojis ?? [])].sort((one, other) => one.index - other.index);
}

/** Nodes of a `textV2` message: `{key}` is substituted, doubled braces are literal. */
export function textV2Nodes(message) {
  const text = String(message.text ?? "");
  const nodes = [];
  let plain = "";
  let from = 0;
  const flush = () => {
    nodes.push(...linked(plain));
    plain = "";
  };
  for (const match of text.matchAll(PLACEHOLDER)) {
    plain += text.slice(from, match.index);
    from = match.index + match[0].length;
    if (match[1] === undefined) plain += match[0][0];
    else {
      flush();
      nodes.push(substituted(message.substitution?.[match[1]], match[0]));
    }
  }
  plain += text.slice(from);
  flush();
  return nodes;
}

function substituted(value, placeholder) {
  if (value?.type === "emoji") return lineEmoji(value.productId, value.emojiId);
  if (value?.type === "mention") {
    const all = value.mentionee?.type === "all";
    return el("span", { class: "mention", text: all ? "@All" : "@user" });
  }
  return placeholder;
}
