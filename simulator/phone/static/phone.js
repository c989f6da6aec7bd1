/** The page put together: one person at a time, their chat, the list of people and the clock. */

import { copy, tap } from "./actions.js";
import { Clock } from "./clock.js";
import { Composer } from "./composer.js";
import { avatar, Conversation, lastPreview } from "./conversation.js";
import { byId, openableUrl } from "./dom.js";
import { Guide } from "./guide.js";
import { People } from "./people.js";
import { follow, server } from "./server.js";
import { menu, notice, panelSheet, tried } from "./sheets.js";
import { applyWords, switchLanguage, t } from "./words.js";

const WIDE = matchMedia("(min-width: 1080px) and (min-height: 560px)");
const TWO_DAYS = 2 * 24 * 3600; // From late in the evening, the third 19:00 is less than three away.
const TYPING_CHECK_MS = 2000;

class Phone {
  constructor() {
    this.userId = null;
    this.chat = null;
    this.stopListening = () => {};
    this.isLoading = false;
    this.isStale = false;
    this.conversation = new Conversation({
      tap: (action) => this.tap(action),
      unsend: (id) => this.act("unsend", { id }),
      copy,
    });
    this.composer = new Composer({
      act: (what, body) => this.act(what, body),
      tap: (action) => this.tap(action),
    });
    this.clock = new Clock((seconds) => this.travelled(seconds));
    this.people = new People(
      (userId) => this.become(userId),
      () => this.clock.now(),
    );
    this.guide = new Guide({
      follow: () => this.chat?.person.status !== "friend" && this.act("follow"),
      tap: () => notice(t("guide_tap")),
      travel: () => (WIDE.matches ? this.clock.travelToThirdEvening() : this.openClock()),
    });
    this.listen();
  }

  listen() {
    byId("friend-add").addEventListener("click", () => this.act("follow"));
    byId("unblock").addEventListener("click", () => this.act("unblock"));
    byId("header-menu").addEventListener("click", () => this.openMenu());
    byId("header-people").addEventListener("click", () =>
      panelSheet(byId("people-panel"), t("people_title")),
    );
    byId("header-clock").addEventListener("click", () => this.openClock());
    byId("language").addEventListener("click", () => this.changeLanguage());
    addEventListener("popstate", () => this.become(askedFor() ?? this.userId, { isBack: true }));
  }

  async start() {
    this.write();
    await Promise.all([this.people.load(), this.clock.load(), this.links()]);
    const first = this.people.items?.[0]?.user_id;
    await this.become(askedFor() ?? first, { isBack: true });
    // An old address may name somebody whom this simulator does not know.
    if (!this.chat && first) await this.become(first, { isBack: true });
  }

  now() {
    return this.clock.now();
  }

  /** Be another person: their chat, their stream, their address in the bar. */
  async become(userId, { isBack = false } = {}) {
    document.querySelector("dialog.sheet[open]")?.close();
    if (!userId || userId === this.userId) return;
    this.stopListening();
    this.userId = userId;
    this.chat = null;
    this.conversation.clear();
    this.composer.clear();
    this.people.choose(userId);
    const address = `?user=${encodeURIComponent(userId)}`;
    history[isBack ? "replaceState" : "pushState"](null, "", address);
    await this.refresh();
    if (this.userId === userId) this.listenTo(userId);
  }

  listenTo(userId) {
    this.stopListening = follow(
      userId,
      (news) => {
        if (news.type === "clock") this.clock.load();
        this.refresh();
      },
      (isOnline) => byId("offline").toggleAttribute("hidden", isOnline),
    );
  }

  /** Fetch the chat and draw it; calls made meanwhile make one more round, not many. */
  async refresh() {
    this.isStale = true;
    if (this.isLoading) return;
    this.isLoading = true;
    try {
      while (this.isStale) {
        this.isStale = false;
        await this.fetchChat();
      }
    } finally {
      this.isLoading = false;
    }
  }

  async fetchChat() {
    const { userId } = this;
    const chat = await tried(() => server.chat(userId));
    if (!chat || userId !== this.userId) return;
    this.chat = chat;
    this.clock.isSimulated = chat.simulated_clock;
    this.clock.set(chat.now);
    this.draw();
    // The dots go away by themselves after some seconds, and no news tells of that.
    if (chat.typing) setTimeout(() => this.chat === chat && this.refresh(), TYPING_CHECK_MS);
  }

  draw() {
    const { bot, person } = this.chat;
    byId("phone").dataset.status = person.status;
    byId("shop-name").textContent = bot.name;
    byId("playing").textContent = t("chat_playing", { name: person.name });
    byId("card-name").textContent = bot.name;
    byId("card-id").textContent = bot.basic_id ?? "";
    byId("card-picture").replaceChildren(avatar(bot.picture_url, bot.name));
    this.conversation.show(this.chat);
    this.composer.show(this.chat);
    this.people.update(person, lastPreview(this.chat), this.chat.messages.at(-1)?.at ?? null);
    if (person.status === "friend") this.guide.done("follow");
  }

  /** Send an act of this person to the back end, and look at what came of it. */
  async act(what, body) {
    const answer = await tried(() => server.act(this.userId, what, body));
    if (answer) await this.refresh();
    return answer;
  }

  async tap(action) {
    const answer = await tap(action, this);
    if (answer) this.guide.done("tap");
    return answer;
  }

  travelled(seconds) {
    if (seconds >= TWO_DAYS) this.guide.done("travel");
    this.people.load();
    this.refresh();
  }

  openClock() {
    return panelSheet(byId("clock-panel"), t("clock_sheet"));
  }

  openMenu() {
    const isBlocked = this.chat?.person.status === "blocked";
    const what = isBlocked ? "unblock" : "block";
    menu(byId("header-menu"), [
      { label: t(`menu_${what}`), run: () => this.act(what), danger: !isBlocked },
      { label: t("language_switch"), run: () => this.changeLanguage() },
    ]);
  }

  changeLanguage() {
    switchLanguage();
    this.write();
    if (this.chat) this.draw();
  }

  /** All words that are not part of the chat. */
  write() {
    applyWords(document);
    document.title = t("page_title");
    this.guide.draw();
    this.clock.draw();
    this.clock.drawRan();
    this.people.draw();
  }

  async links() {
    const info = await tried(() => server.info());
    link("link-start", info?.start_page_url);
    link("link-docs", info?.admin_docs_url);
  }
}

function link(id, address) {
  const href = openableUrl(address);
  byId(id).hidden = !href;
  if (href) byId(id).href = href;
}

function askedFor() {
  return new URLSearchParams(location.search).get("user");
}

new Phone().start();
