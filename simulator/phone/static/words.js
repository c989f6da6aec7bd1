/** The page's own words, Japanese and English. What the shop says is never translated. */

const KEY = "okaeri-phone-language";

const WORDS = {
  brand_line: [
    "机の上の LINE。アカウントなしで、お店の LINE を試せます。",
    "LINE on your desk: try the shop without an account.",
  ],
  page_title: ["おかえり — 試せるスマートフォン", "Okaeri — a phone to try"],
  people_title: ["だれになる？", "Who will you be?"],
  people_search: ["名前でさがす", "Search by name"],
  people_new: ["新しい人になる", "Be someone new"],
  people_new_name: ["お名前（LINE の表示名）", "Name (as shown in LINE)"],
  people_new_ok: ["この人になる", "Be this person"],
  people_none: ["見つかりませんでした", "Nobody found"],
  people_rest: ["ほか {n} 人を表示", "Show {n} more"],
  people_featured: ["おすすめ", "Start here"],
  people_others: ["ほかのお客さま", "Other customers"],
  status_none: ["まだ友だちでない", "Not a friend yet"],
  status_friend: ["友だち", "Friend"],
  status_blocked: ["ブロック中", "Blocked"],
  clock_title: ["お店の時計", "The shop's clock"],
  clock_sheet: ["時計と時間旅行", "Clock and time travel"],
  clock_real: [
    "実際の時計で動いています。時間旅行はできません。",
    "Running on real time: no time travel.",
  ],
  clock_simulated: ["ボタンを押したときだけ進みます", "Moves only when you tell it to"],
  clock_travelling: ["時計を進めています…", "Moving the clock…"],
  travel_hour: ["＋1時間", "+1 hour"],
  travel_day: ["＋1日", "+1 day"],
  travel_3days: ["＋3日", "+3 days"],
  travel_week: ["＋1週間", "+1 week"],
  travel_evening: ["次の19:00まで", "To the next 19:00"],
  travel_third_evening: ["3日後の19:00へ", "To 19:00 in 3 days"],
  travel_free: ["自由に進める", "Any length"],
  travel_number: ["進める数", "How many"],
  travel_unit: ["単位", "Unit"],
  travel_go: ["進める", "Go"],
  unit_minutes: ["分", "minutes"],
  unit_hours: ["時間", "hours"],
  unit_days: ["日", "days"],
  ran_title: ["このあいだに動いたこと", "What ran on the way"],
  ran_none: ["動いたものはありませんでした", "Nothing fell due"],
  ran_before: [
    "時計を進めると、そのあいだに動いたことがここに並びます",
    "Move the clock, and what ran on the way is listed here",
  ],
  ran_times: ["{n}件", "{n}×"],
  ran_events: ["お客さまの操作への対応", "What customers did, handled"],
  ran_profiles: ["プロフィールの確認", "Profiles looked up"],
  ran_reactions: ["できごとからシナリオへ", "What happened, passed to flows"],
  ran_steps: ["シナリオのステップ", "Steps of flows"],
  ran_dispatch: ["メッセージの送信", "Messages sent"],
  ran_jobs: ["お店の定期処理", "Regular work of the shop"],
  links_title: ["お店の裏側", "Behind the counter"],
  link_start: ["お店の最初のページ", "The shop's start page"],
  link_docs: ["管理 API の説明", "Admin API docs"],
  chat_people: ["だれになるか選ぶ", "Choose who to be"],
  chat_clock: ["お店の時計を開く", "Open the shop's clock"],
  chat_playing: ["{name} さんの画面", "As {name}"],
  chat_menu: ["メニュー", "Menu"],
  chat_read: ["既読", "Read"],
  chat_today: ["今日", "Today"],
  chat_newer: ["↓ 新しいメッセージ", "↓ New messages"],
  chat_empty: ["まだメッセージはありません", "No messages yet"],
  chat_typing: ["入力中", "Typing"],
  chat_offline: ["つながっていません。つなぎ直しています…", "Not connected. Trying again…"],
  menu_block: ["ブロック", "Block"],
  menu_unblock: ["ブロック解除", "Unblock"],
  menu_unsend: ["送信取消", "Unsend"],
  menu_copy: ["コピー", "Copy"],
  unsent_me: ["メッセージの送信を取り消しました", "You unsent a message"],
  friend_add: ["追加", "Add"],
  friend_lead: [
    "友だちに追加すると、お店からのメッセージを受け取れます。",
    "Add the shop as a friend to receive its messages.",
  ],
  blocked_lead: [
    "このアカウントをブロックしています。メッセージは届きません。",
    "You have blocked this account. Its messages do not reach you.",
  ],
  blocked_title: ["ブロック中", "Blocked"],
  via_reply: ["返信・無料", "Reply, free"],
  via_paid: ["プッシュ・1通", "Push, counts as 1"],
  via_reply_why: [
    "お客さまへの返信は、LINE の月間メッセージ数に数えられません。",
    "Replies do not count against LINE's monthly quota.",
  ],
  via_paid_why: [
    "お店から送ったメッセージは1人につき1通と数えられます。まとめて送った吹き出しは合わせて1通です。",
    "A message the shop starts counts once per person; bubbles sent together count as one.",
  ],
  say_placeholder: ["メッセージを入力", "Message"],
  say_send: ["送信", "Send"],
  say_more: ["スタンプ・写真・位置情報", "Sticker, photo, location"],
  say_sticker: ["スタンプ", "Sticker"],
  say_photo: ["写真", "Photo"],
  say_location: ["位置情報", "Location"],
  sticker_choose: ["スタンプを選ぶ", "Choose a sticker"],
  sticker_one: ["スタンプ {id}", "Sticker {id}"],
  location_choose: ["どこから送りますか", "Where are you?"],
  rich_keyboard: ["キーボードを開く", "Open the keyboard"],
  rich_menu: ["メニューを開く", "Open the menu"],
  rich_area: ["メニュー {n}", "Menu {n}"],
  quick_replies: ["返信の候補", "Quick replies"],
  pick_date: ["日付を選ぶ", "Choose a date"],
  pick_time: ["時刻を選ぶ", "Choose a time"],
  pick_datetime: ["日時を選ぶ", "Choose date and time"],
  ok: ["決定", "OK"],
  close: ["閉じる", "Close"],
  copied: ["コピーしました", "Copied"],
  open_link: ["リンクを開く", "Open the link"],
  open_in_line: ["LINE アプリで開くリンクです", "A link for the LINE app"],
  switch_failed: ["切り替え先のメニューがありません", "The menu to switch to does not exist"],
  carousel: ["横にスクロールできます", "Scrolls sideways"],
  open_refused: ["このリンクは開けません", "This link cannot be opened"],
  photo: ["写真", "Photo"],
  photo_larger: ["写真を大きく表示", "Show the photo larger"],
  video: ["動画", "Video"],
  audio: ["音声 {length}", "Audio {length}"],
  map_open: ["地図を開く", "Open the map"],
  coupon: ["LINE クーポン", "LINE coupon"],
  coupon_lead: [
    "実際の LINE では、ここからクーポン画面が開きます",
    "In LINE this opens the coupon",
  ],
  imagemap: ["画像メニュー", "Image map"],
  unknown: ["この画面では表示できない部品: {type}", "This page cannot show: {type}"],
  guide_title: ["はじめての方へ", "First time here?"],
  guide_follow: ["友だち追加", "Add the shop"],
  guide_tap: ["ボタンをタップ", "Tap a button"],
  guide_travel: ["3日後の夜へ", "Move on 3 days"],
  guide_close: ["案内を閉じる", "Close the guide"],
  guide_done: ["できました！あとは自由に試してください", "Done! Now try what you like"],
  language_switch: ["English", "日本語"],
  language_label: ["Switch to English", "日本語に切り替える"],
  failed: ["うまくいきませんでした", "That did not work"],
  failed_connection: ["シミュレーターにつながりません", "The simulator does not answer"],
};

let column = storedLanguage() === "en" ? 1 : 0;

function storedLanguage() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // Storage may be switched off; the language then lasts as long as the page.
  }
}

/** "ja" or "en" */
export function language() {
  return column === 1 ? "en" : "ja";
}

export function switchLanguage() {
  column = 1 - column;
  try {
    localStorage.setItem(KEY, language());
  } catch {
    // See storedLanguage.
  }
}

/** The words for `key`, or null. */
export function known(key) {
  return WORDS[key]?.[column] ?? null;
}

/** The words for `key`, with `{name}` filled from `values`. An unknown key shows itself. */
export function t(key, values = {}) {
  const words = known(key) ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Fill `data-t` (text), `data-t-label` (aria-label) and `data-t-placeholder` under `root`. */
export function applyWords(root) {
  document.documentElement.lang = language();
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
    node.title = t(node.dataset.tLabel);
  }
  for (const node of root.querySelectorAll("[data-t-placeholder]")) {
    node.placeholder = t(node.dataset.tPlaceholder);
  }
}
