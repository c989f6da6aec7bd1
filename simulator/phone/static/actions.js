/** What a tap on something with a LINE action does, as the LINE app would. */

import { fieldValue } from "./dates.js";
import { el, openableUrl } from "./dom.js";
import { askMoment, notice, sheet } from "./sheets.js";
import { t } from "./words.js";

/**
 * Tap `action`. `phone` has `act(what, body)`, `composer` and `now()`. Resolves to the back end's
 * answer, or undefined when nothing was sent (cancelled, refused).
 */
export async function tap(action, phone) {
  if (action.type === "location") return phone.composer.sendPlace();
  const params = action.type === "datetimepicker" ? await askParams(action, phone.now()) : {};
  if (!params) return undefined;
  const answer = await phone.act("tap", { action, ...params });
  if (!answer) return undefined;
  if (answer.open) await openAddress(answer.open);
  if (answer.copy) await copy(answer.copy);
  if (answer.switched === false) notice(t("switch_failed"));
  if (action.type === "postback") phone.composer.obey(action);
  return answer;
}

async function askParams(action, now) {
  const mode = action.mode ?? "datetime";
  const [day, time] = fieldValue(now).split("T");
  const moment = await askMoment(action, { date: day, time, datetime: `${day}T${time}` }[mode]);
  return moment && { params: { [mode]: moment } };
}

/** Open an address in another tab; where the browser refuses, offer it as a link. */
async function openAddress(address) {
  const href = openableUrl(address);
  if (!href) return notice(t("open_refused"));
  if (!href.startsWith("http")) return offer(href);
  const page = window.open(href, "_blank");
  if (!page) return offer(href);
  page.opener = null;
  return undefined;
}

function offer(href) {
  const title = href.startsWith("line:") ? t("open_in_line") : t("open_link");
  return sheet(title, (close) =>
    el("a", {
      class: "main-button",
      href,
      target: "_blank",
      rel: "noopener noreferrer",
      text: href.startsWith("tel:") ? decodeURIComponent(href.slice(4)) : href,
      on: { click: () => close() },
    }),
  );
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    notice(t("copied"));
  } catch {
    // Without HTTPS or permission the text is shown, to be copied by hand.
    await sheet(t("menu_copy"), () => el("p", { class: "copy-text", text }));
  }
}
