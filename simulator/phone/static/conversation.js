/** The chat: rows of bubbles kept in step with what the back end says, and where it is scrolled. */

import { bubble, preview, SPOKEN } from "./bubbles.js";
import { dayOf, shortDate, timeOfDay } from "./dates.js";
import { byId, el, image } from "./dom.js";
import { menu } from "./sheets.js";
import { language, t } from "./words.js";

const NEAR_BOTTOM = 60;
const LONG_PRESS_MS = 500;

/** `on` has `tap(action)`, `unsend(id)` and `copy(text)`. */
export class Conversation {
  constructor(on) {
    this.on = on;
    this.frame = byId("log");
    this.list = byId("messages");
    this.rows = new Map();
    this.stuck = true;
    this.lastTop = 0;
    this.frame.addEventListener("scroll", () => this.scrolled());
    byId("newer").addEventListener("click", () => this.toBottom("smooth"));
    const watcher = new ResizeObserver(() => this.stuck && this.toBottom("instant"));
    watcher.observe(this.list);
    watcher.observe(this.frame);
  }

  /** Forget the person shown so far. */
  clear() {
    this.rows.clear();
    this.list.replaceChildren();
    this.stuck = true;
    byId("newer").hidden = true;
  }

  show(chat) {
    const isFirst = this.rows.size === 0;
    const known = new Set(this.rows.keys());
    this.sync(
      [...this.wantedRows(chat), chat.typing ? this.typing(chat.bot) : null].filter(Boolean),
    );
    const added = chat.messages.filter((entry) => !known.has(entry.id));
    if (isFirst) this.toBottom("instant");
    else if (added.length) this.arrived(added);
  }

  arrived(added) {
    if (this.stuck || added.some((entry) => entry.from === "person")) this.toBottom("instant");
    else byId("newer").hidden = false;
  }

  wantedRows(chat) {
    const kept = new Map();
    const rows = describe(chat).map((row) => {
      const signature = JSON.stringify([row, language()]);
      const old = this.rows.get(row.entry.id);
      const node = old?.signature === signature ? old.node : this.row(row, chat.bot);
      kept.set(row.entry.id, { signature, node });
      return node;
    });
    this.rows = kept;
    return rows.length ? rows : [el("p", { class: "chat-empty", text: t("chat_empty") })];
  }

  /** Put exactly `wanted` into the list without moving what stays: a moved carousel jumps back. */
  sync(wanted) {
    const staying = new Set(wanted);
    for (const node of [...this.list.children]) if (!staying.has(node)) node.remove();
    let cursor = this.list.firstElementChild;
    for (const node of wanted) {
      if (node === cursor) cursor = cursor.nextElementSibling;
      else this.list.insertBefore(node, cursor);
    }
  }

  row(row, bot) {
    return el(
      "li",
      { class: `row row-${row.entry.from}` },
      row.day && el("p", { class: "day", text: row.day }),
      this.content(row, bot),
    );
  }

  content(row, bot) {
    const { entry } = row;
    if (entry.message.type === "unsent") return systemLine(t("unsent_me"));
    if (entry.from === "system") return systemLine(entry.message.text);
    return entry.from === "bot" ? this.fromBot(row, bot) : this.fromPerson(row);
  }

  fromBot(row, bot) {
    const { entry } = row;
    const sender = entry.message.sender ?? {};
    return el(
      "div",
      { class: "turn turn-bot" },
      el(
        "div",
        { class: "avatar-place" },
        row.opens && avatar(sender.iconUrl ?? bot.picture_url, bot.name),
      ),
      el(
        "div",
        { class: "turn-body" },
        row.opens &&
          el("p", {
            class: "sender",
            text: sender.name ? `${sender.name} from ${bot.name}` : bot.name,
          }),
        el("div", { class: "line" }, this.bubbleOf(entry, row.opens), meta(row)),
        row.via && viaMark(row.via),
      ),
    );
  }

  fromPerson(row) {
    const node = this.bubbleOf(row.entry, row.opens);
    this.offerMenu(node, row.entry);
    return el("div", { class: "turn turn-person" }, el("div", { class: "line" }, meta(row), node));
  }

  bubbleOf(entry, opens) {
    const node = bubble(entry.message, this.on.tap);
    const kind = SPOKEN.has(entry.message.type) ? "bubble" : "shape";
    return el("div", { class: `${kind} ${opens ? "opens" : ""}` }, node);
  }

  offerMenu(node, entry) {
    node.tabIndex = 0;
    node.setAttribute("aria-haspopup", "menu");
    onLongPress(node, () => menu(node, this.menuItems(entry)));
  }

  menuItems(entry) {
    const items = [{ label: t("menu_unsend"), run: () => this.on.unsend(entry.id), danger: true }];
    if (entry.message.type !== "text") return items;
    return [{ label: t("menu_copy"), run: () => this.on.copy(entry.message.text) }, ...items];
  }

  typing(bot) {
    const dots = el("span", { class: "dots", role: "img", "aria-label": t("chat_typing") });
    dots.append(el("i"), el("i"), el("i"));
    return el(
      "li",
      { class: "row" },
      el(
        "div",
        { class: "turn turn-bot" },
        el("div", { class: "avatar-place" }, avatar(bot.picture_url, bot.name)),
        el("div", { class: "bubble opens typing" }, dots),
      ),
    );
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.frame;
    const isAtBottom = scrollHeight - clientHeight - scrollTop < NEAR_BOTTOM;
    // Only going up means that the reader left; growing content moves nothing.
    if (isAtBottom) this.stuck = true;
    else if (scrollTop < this.lastTop - 1) this.stuck = false;
    this.lastTop = scrollTop;
    if (isAtBottom) byId("newer").hidden = true;
  }

  toBottom(behavior) {
    this.stuck = true;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.frame.scrollTo({ top: this.frame.scrollHeight, behavior: isCalm ? "instant" : behavior });
    byId("newer").hidden = true;
  }
}

/** What stands around each entry: day line, avatar, time, 既読 and how it was sent. */
function describe(chat) {
  const { messages } = chat;
  const read = Math.max(
    messages.findLastIndex((entry) => entry.from === "bot"),
    messages.findIndex((entry) => entry.id === chat.read_to),
  );
  return messages.map((entry, nth) => {
    const before = messages[nth - 1];
    const after = messages[nth + 1];
    const isNewDay = !before || dayOf(before.at) !== dayOf(entry.at);
    return {
      entry,
      day: isNewDay ? dayLine(entry.at, chat.now) : null,
      opens: isNewDay || before.from !== entry.from || senderOf(before) !== senderOf(entry),
      time: isSameMinute(entry, after) ? null : timeOfDay(entry.at),
      read: entry.from === "person" && nth <= read,
      via: isSameRequest(entry, after) ? null : entry.via,
    };
  });
}

function dayLine(at, now) {
  return dayOf(at) === dayOf(now) ? t("chat_today") : shortDate(at);
}

const senderOf = (entry) => entry.message.sender?.name ?? "";

function isSameMinute(entry, after) {
  return after?.from === entry.from && after.at.slice(0, 16) === entry.at.slice(0, 16);
}

/** Up to five bubbles of one request arrive at the same instant and are counted once. */
function isSameRequest(entry, after) {
  return after?.from === "bot" && after.at === entry.at && after.via === entry.via;
}

function systemLine(text) {
  return el("p", { class: "system", text: text ?? "" });
}

/** The bot's picture, or the first character of its name where there is none. */
export function avatar(address, name) {
  if (address) return image(address, { class: "avatar" });
  return el("span", {
    class: "avatar avatar-letter",
    "aria-hidden": "true",
    text: [...(name ?? "?")][0],
  });
}

function meta(row) {
  if (!row.time && !row.read) return null;
  return el(
    "span",
    { class: "meta" },
    row.read && row.time && el("span", { class: "read", text: t("chat_read") }),
    row.time && el("time", { datetime: row.entry.at, text: row.time }),
  );
}

function viaMark(via) {
  const isFree = via === "reply";
  return el("span", {
    class: `via ${isFree ? "via-free" : "via-paid"}`,
    title: t(isFree ? "via_reply_why" : "via_paid_why"),
    text: t(isFree ? "via_reply" : "via_paid"),
  });
}

/** A long press, a right click, the menu key or Enter on `node`. */
function onLongPress(node, run) {
  let timer;
  let start;
  const stop = () => clearTimeout(timer);
  node.addEventListener("pointerdown", (event) => {
    start = event;
    if (event.pointerType !== "mouse") timer = setTimeout(run, LONG_PRESS_MS);
  });
  node.addEventListener("pointermove", (event) => hasMoved(start, event) && stop());
  for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, stop);
  node.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    stop();
    if (!document.querySelector("dialog.menu[open]")) run();
  });
  node.addEventListener("keydown", (event) => {
    if (event.target !== node || event.key !== "Enter") return;
    event.preventDefault();
    run();
  });
}

/** A finger never lies quite still; more than this is scrolling. */
function hasMoved(start, event) {
  return start && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > 10;
}

/** The last message in a line, for the list of people; null when there is none. */
export function lastPreview(chat) {
  const last = chat.messages.findLast(
    (entry) => entry.from !== "system" && entry.message.type !== "unsent",
  );
  return last ? preview(last.message) : null;
}
