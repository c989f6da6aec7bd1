/** What comes up over the page: sheets, small menus, the enlarged picture, short notices. */

import { byId, el, icon, loadableUrl } from "./dom.js";
import { Refused } from "./server.js";
import { language, t } from "./words.js";

/**
 * Show a sheet with a title and nodes; resolves when it is closed. `fill(close)` makes the nodes
 * and may close it with a value.
 */
export function sheet(title, fill) {
  return new Promise((resolve) => {
    let chosen;
    const close = (value) => {
      chosen = value;
      dialog.close();
    };
    const dialog = el(
      "dialog",
      { class: "sheet", "aria-label": title },
      el(
        "div",
        { class: "sheet-head" },
        el("h2", { text: title }),
        closeButton(() => dialog.close()),
      ),
      el("div", { class: "sheet-body" }, fill(close)),
    );
    open(dialog, () => resolve(chosen));
  });
}

function closeButton(onClick) {
  const label = t("close");
  return el(
    "button",
    { type: "button", class: "plain", "aria-label": label, on: { click: onClick } },
    icon("close"),
  );
}

/** Put a dialog over the phone; a tap outside closes it, and closed it is gone. */
function open(dialog, onClose) {
  byId("phone").append(dialog);
  // Only a tap that also began outside: lifting the finger of a long press is none.
  let begunOutside = false;
  dialog.addEventListener("pointerdown", (event) => (begunOutside = event.target === dialog));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog && begunOutside) dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    onClose?.();
  });
  dialog.showModal();
  if (dialog.classList.contains("sheet")) standInPhone(dialog);
}

/** A sheet rises from the foot of the phone, wherever on the page the phone stands. */
function standInPhone(dialog) {
  const place = () => {
    if (!dialog.open) return removeEventListener("resize", place);
    const { left, bottom, width, height } = screenOfPhone();
    Object.assign(dialog.style, {
      left: `${left}px`,
      bottom: `${bottom}px`,
      width: `${width}px`,
      maxHeight: `${height - 48}px`,
    });
  };
  addEventListener("resize", place);
  place();
}

/** The phone without its frame, in pixels; `bottom` is counted from the foot of the window. */
function screenOfPhone() {
  const phone = byId("phone");
  const { left, top } = phone.getBoundingClientRect();
  const { clientLeft, clientTop, clientWidth: width, clientHeight: height } = phone;
  const bottom = Math.max(innerHeight - top - clientTop - height, 0);
  return { left: left + clientLeft, bottom, width, height };
}

/** An existing panel of the page as a sheet, for narrow screens; it goes back when closed. */
export function panelSheet(panel, title) {
  const home = panel.parentNode;
  const next = panel.nextSibling;
  return sheet(title, () => panel).then(() => home.insertBefore(panel, next));
}

/** A date, time or both, as "2026-11-22", "19:00" or "2026-11-22T19:00"; undefined if cancelled. */
export function askMoment(action, initial) {
  const mode = action.mode ?? "datetime";
  const field = el("input", {
    type: mode === "datetime" ? "datetime-local" : mode,
    "aria-label": t(`pick_${mode}`),
    required: true,
    value: capitalT(action.initial) ?? initial,
    min: capitalT(action.min),
    max: capitalT(action.max),
  });
  return sheet(t(`pick_${mode}`), (close) =>
    el(
      "form",
      {
        class: "sheet-form",
        on: { submit: (event) => submitted(event, () => close(field.value)) },
      },
      field,
      el("button", { type: "submit", class: "main-button", text: t("ok") }),
    ),
  );
}

/** LINE also accepts a small "t" between date and time; the browser's field does not. */
function capitalT(value) {
  return value?.replace("t", "T");
}

export function submitted(event, then) {
  event.preventDefault();
  then();
}

/** Choose one of `choices` ({label, value}) from a sheet; undefined if closed. */
export function choose(title, choices) {
  return sheet(title, (close) =>
    el(
      "div",
      { class: "sheet-choices" },
      choices.map(({ label, value }) =>
        el(
          "button",
          { type: "button", class: "sheet-choice", on: { click: () => close(value) } },
          label,
        ),
      ),
    ),
  );
}

/** A small menu beside `anchor`; `items` are {label, run, danger}. */
export function menu(anchor, items) {
  const dialog = el("dialog", { class: "menu", "aria-label": t("chat_menu") });
  for (const { label, run, danger } of items) {
    const click = () => {
      dialog.close();
      run();
    };
    dialog.append(
      el("button", { type: "button", class: danger ? "danger" : "", text: label, on: { click } }),
    );
  }
  open(dialog, () => anchor.focus?.({ preventScroll: true }));
  const at = anchor.getBoundingClientRect();
  const size = dialog.getBoundingClientRect();
  const within = byId("phone").getBoundingClientRect();
  const isRight = at.left + at.width / 2 > within.left + within.width / 2;
  const wanted = isRight ? at.right - size.width : at.left;
  const left = Math.min(Math.max(wanted, within.left + 8), within.right - size.width - 8);
  const below = at.bottom + 4;
  const top = below + size.height > within.bottom - 8 ? at.top - size.height - 4 : below;
  Object.assign(dialog.style, { left: `${left}px`, top: `${Math.max(top, within.top + 8)}px` });
}

export function showPicture(address) {
  if (!loadableUrl(address)) return;
  const dialog = el("dialog", { class: "viewer", "aria-label": t("photo") });
  dialog.append(
    el("img", { src: address, alt: t("photo") }),
    closeButton(() => dialog.close()),
  );
  open(dialog);
}

let noticeTimer;

/** A short notice at the foot of the phone, read out and gone after a few seconds. */
export function notice(text) {
  const node = byId("notice");
  const { left, bottom, width } = screenOfPhone();
  node.textContent = text;
  Object.assign(node.style, {
    left: `${left + 16}px`,
    bottom: `${bottom + 84}px`,
    width: `${width - 32}px`,
  });
  // As a popover, shown anew, it stands above an open sheet too.
  node.hidePopover();
  node.showPopover();
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => node.hidePopover(), 4000);
}

/** Run something that talks to the back end; a refusal becomes a notice and `undefined`. */
export async function tried(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error;
    notice(error instanceof Refused ? reason(error) : t("failed_connection"));
    return undefined;
  }
}

function reason({ message, detail }) {
  return (language() === "en" && detail) || message || t("failed");
}
