"""Minato Coffee's past, made up from a seed: the same people and purchases every time.

The shop is a café in Yokohama with an online store. All names are invented.
"""

import random
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal

from simulator import ids
from simulator.clock import JAPAN

PEOPLE = 300
NOT_YET_FRIENDS = 60
BLOCKED = 25
YEARS_BACK_DAYS = 730
_SEED = 20_260
_HOW_OFTEN = (2, 3, 3, 4, 5, 6, 8, 12, 20)
Habit = Literal["none", "new", "once", "regular", "dormant"]

_FAMILY = """
青木 秋山 浅井 安藤 池田 石川 石原 井上 今井 岩崎 上田 内田 遠藤 大島 大塚 大西 岡田 岡本
小川 小野 柏木 片山 金子 上村 川口 河野 神田 菊地 北村 木下 久保 工藤 熊谷 桑原 小島 後藤
小西 小松 近藤 坂本 佐々木 佐野 沢田 柴田 島田 清水 白石 杉本 須藤 関口 高木 高橋 竹内
武田 田村 千葉 辻 土屋 内藤 永井 中川 長島 中野 西川 西村 野口 野村 橋本 長谷川 服部 早川
原田 東 樋口 平野 福島 藤井 星野 堀 本田 前田 松尾 松本 丸山 三浦 水野 宮崎 宮本 村上 森田
安田 矢野 山内 山口 山下 横山 吉岡 吉川 和田 渡部
"""
FAMILY_NAMES = tuple(_FAMILY.split())
_GIVEN = """
葵 碧 明日香 彩 綾乃 杏 郁 一花 樹 衣織 詩 英里 笑 桜 香織 和也 一輝 要 奏 圭 健太 浩二
琴音 小春 沙紀 颯 志織 翔 純 涼 鈴 蒼 大地 隆 匠 拓海 千夏 司 翼 透 朋美 直樹 菜々 七海 希
のぞみ 遥 春樹 陽菜 光 秀明 弘 文香 史郎 真央 真琴 誠 正人 茉莉 真理 瑞希 美月 湊 実 美優
恵 萌 康平 悠 優花 雄大 由紀 由佳 陽介 吉乃 蘭 理恵 莉子 律 瑠衣 玲奈 蓮 若菜
"""
GIVEN_NAMES = tuple(_GIVEN.split())
FROM_ABROAD = (
    ("Emma Wood", "en"),
    ("Lucas Meyer", "en"),
    ("Olivia Stone", "en"),
    ("林雅文", "zh-TW"),
    ("陳美玉", "zh-TW"),
    ("김하늘", "ko"),
    ("박서연", "ko"),
    ("Somchai P.", "th"),
)


_FULL_NAMES = {
    "花": "港 花", "健": "鈴木 健", "結衣": "森 結衣", "陸": "石田 陸", "美咲": "中村 美咲",
}  # fmt: skip
_LINKED_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Product:
    """Something the shop sells; the price in yen."""

    sku: str
    name: str
    category: str
    price: int


PRODUCTS = (
    Product("BEAN-BLEND-200", "みなとブレンド 200g", "coffee", 1_480),
    Product("BEAN-ETH-200", "エチオピア イルガチェフェ 200g", "coffee", 1_780),
    Product("BEAN-COL-200", "コロンビア 200g", "coffee", 1_620),
    Product("BEAN-DECAF-200", "カフェインレス 200g", "coffee", 1_680),
    Product("BEAN-DARK-500", "深煎りブレンド 500g", "coffee", 3_200),
    Product("DRIP-BLEND-10", "ドリップバッグ みなとブレンド 10個", "drip", 1_580),
    Product("DRIP-ASSORT-5", "ドリップバッグ 飲みくらべ 5個", "drip", 980),
    Product("DRIP-DECAF-10", "ドリップバッグ カフェインレス 10個", "drip", 1_720),
    Product("CAKE-CHEESE", "港のチーズケーキ", "cake", 2_400),
    Product("CAKE-POUND", "レモンパウンドケーキ", "cake", 1_650),
    Product("CAKE-COOKIE", "波のクッキー缶", "cake", 1_980),
    Product("GOODS-MUG", "マグカップ 紺", "goods", 2_200),
    Product("GOODS-DRIPPER", "陶器のドリッパー", "goods", 3_600),
    Product("GOODS-TOTE", "帆布トートバッグ", "goods", 2_800),
)


@dataclass(frozen=True, slots=True)
class Purchase:
    """One order; `lines` as the shop's API takes them."""

    order_id: str
    at: datetime
    lines: tuple[dict[str, object], ...]
    total: int


@dataclass(slots=True)
class Customer:
    """One person of the sample shop. `followed_at` is None for those who are not friends yet.

    Those with a `member_number` are in the shop's books; `linked` ones see their card in LINE.
    """

    user_id: str
    name: str
    about: str
    language: str = "ja"
    featured: bool = False
    birthday: date | None = None
    member_number: str | None = None
    full_name: str = ""
    linked: bool = False
    coupons: tuple[str, ...] = ()
    followed_at: datetime | None = None
    blocked_at: datetime | None = None
    purchases: list[Purchase] = field(default_factory=list)


def build(today: date) -> list[Customer]:
    """All people with their past up to (not including) `today`, featured ones first."""
    chance = random.Random(_SEED)  # noqa: S311  the same shop for everybody
    people = [*_featured(today, chance), *_others(today, chance)]
    for number, person in enumerate(people):
        person.purchases.sort(key=lambda purchase: purchase.at)
        person.purchases = [
            _numbered(purchase, number, n) for n, purchase in enumerate(person.purchases, 1)
        ]
    _enter_in_the_books(people)
    return people


def _enter_in_the_books(people: list[Customer]) -> None:
    """Whoever has bought something is a member, and so is 花; most friends among them are linked.

    A chance of its own, so that names and purchases stay as they were.
    """
    chance = random.Random(_SEED + 1)  # noqa: S311  the same shop for everybody
    for number, person in enumerate(people, 1):
        person.full_name = _FULL_NAMES.get(person.name) or _full_name(person.name, chance)
        is_friend = person.followed_at is not None and person.blocked_at is None
        if person.purchases or person.featured:
            person.member_number = f"MN-{number:06d}"
            person.linked = is_friend and (person.featured or chance.random() < _LINKED_SHARE)
    hana, ken, _yui, _riku, misaki = people[:5]
    hana.about = f"新しいお客さま。会員番号 {hana.member_number} 誕生日 {hana.birthday}"
    ken.coupons, misaki.coupons = ("beans-10", "drink-gift"), ("birthday-500", "beans-10")


def _full_name(name: str, chance: random.Random) -> str:
    family, plain = chance.choice(FAMILY_NAMES), name.rstrip("☕")
    return plain if " " in plain or plain in dict(FROM_ABROAD) else f"{family} {plain}"


def _numbered(purchase: Purchase, person: int, n: int) -> Purchase:
    order_id = f"MN-{purchase.at:%y%m%d}-{person:03d}{n:02d}"
    return Purchase(order_id, purchase.at, purchase.lines, purchase.total)


def _featured(today: date, chance: random.Random) -> list[Customer]:
    hana = _person("花", "はじめてのお客さま。まずはここから", featured=True)
    ken = _person("健", "ゴールド会員。毎月豆を買う常連さん", featured=True)
    yui = _person("結衣", "以前お店をブロックしたお客さま", featured=True)
    riku = _person("陸", "120日お買い物がないお客さま", featured=True)
    misaki = _person("美咲", "もうすぐ誕生日。ケーキ好き", featured=True)
    hana.birthday, ken.birthday = date(1998, 4, 12), date(1984, 7, 3)
    yui.birthday, riku.birthday = date(1991, 1, 25), date(1989, 10, 8)
    soon = today + timedelta(days=7)
    misaki.birthday = date(1995, soon.month, min(soon.day, 28))
    for person, days in ((ken, 700), (yui, 420), (riku, 300), (misaki, 200)):
        person.followed_at = _moment(today, days, chance)
    yui.blocked_at = _moment(today, 45, chance)
    plan = (
        (ken, range(5, 605, 30), 3),
        (yui, (400, 380), 1),
        (riku, (280, 230, 175, 120), 2),
        (misaki, (190, 130, 80, 30), 2),
    )
    for person, days_ago, most_lines in plan:
        person.purchases = [_purchase(today, d, chance, most_lines) for d in days_ago]
    return [hana, ken, yui, riku, misaki]


def _person(name: str, about: str, *, featured: bool = False, language: str = "ja") -> Customer:
    return Customer(ids.user_id_for(f"minato:{name}:{about}"), name, about, language, featured)


def _others(today: date, chance: random.Random) -> list[Customer]:
    left = PEOPLE - 5
    kinds = ["none"] * (NOT_YET_FRIENDS - 1) + ["blocked"] * (BLOCKED - 1)
    kinds += ["friend"] * (left - len(kinds))
    chance.shuffle(kinds)
    return [_other(number, kind, today, chance) for number, kind in enumerate(kinds)]


def _other(number: int, kind: str, today: date, chance: random.Random) -> Customer:
    name, language = _name(number, chance)
    habits: list[Habit] = ["none", "new", "once", "regular", "dormant"]
    habit = chance.choices(habits, weights=(8, 15, 20, 35, 22))[0]
    person = Customer(ids.user_id_for(f"minato:{number}"), name, _ABOUT[habit], language)
    person.birthday = date(chance.randint(1958, 2006), chance.randint(1, 12), chance.randint(1, 28))
    known_for = chance.randint(2, 30) if habit == "new" else chance.randint(30, YEARS_BACK_DAYS - 1)
    if kind != "none":
        person.followed_at = _moment(today, known_for, chance)
    if kind == "blocked":
        person.blocked_at = _moment(today, chance.randint(1, known_for - 1), chance)
    person.purchases = [
        _purchase(today, days_ago, chance, 3) for days_ago in _visits(habit, known_for, chance)
    ]
    return person


_ABOUT: dict[Habit, str] = {
    "none": "まだお買い物のないお客さま",
    "new": "最近知ってくれたお客さま",
    "once": "一度だけお買い物をしたお客さま",
    "regular": "よく来てくれるお客さま",
    "dormant": "しばらくお買い物のないお客さま",
}


def _name(number: int, chance: random.Random) -> tuple[str, str]:
    if number < len(FROM_ABROAD):
        return FROM_ABROAD[number]
    family, given = chance.choice(FAMILY_NAMES), chance.choice(GIVEN_NAMES)
    style = chance.random()
    if style < 0.6:  # noqa: PLR2004  how people name themselves on LINE
        return f"{family} {given}", "ja"
    return (given, "ja") if style < 0.85 else (f"{given}☕", "ja")  # noqa: PLR2004


def _visits(habit: Habit, known_for: int, chance: random.Random) -> list[int]:
    """On which days, counted back from today, somebody bought something."""
    if habit == "none":
        return []
    if habit in {"new", "once"}:
        return sorted(chance.choices(range(1, known_for), k=1 if habit == "once" else 2))
    last = chance.randint(90, 400) if habit == "dormant" else chance.randint(1, 25)
    last = min(last, known_for - 1)
    step = chance.randint(12, 45)
    return list(range(last, known_for, step))[: chance.choice(_HOW_OFTEN)]


def _moment(today: date, days_ago: int, chance: random.Random) -> datetime:
    """Some time between 8:00 and 21:59 in Japan, `days_ago` days before today."""
    at = time(chance.randint(8, 21), chance.randint(0, 59), chance.randint(0, 59))
    return datetime.combine(today - timedelta(days=days_ago), at, JAPAN)


def _purchase(today: date, days_ago: int, chance: random.Random, most_lines: int) -> Purchase:
    products = chance.sample(PRODUCTS, chance.randint(1, most_lines))
    lines: list[dict[str, object]] = []
    total = 0
    for product in products:
        quantity = chance.choices((1, 2, 3), weights=(8, 3, 1))[0]
        total += quantity * product.price
        lines.append(
            {
                "sku": product.sku,
                "name": product.name,
                "category": product.category,
                "quantity": quantity,
                "unit_price": product.price,
            }
        )
    return Purchase("", _moment(today, max(days_ago, 1), chance), tuple(lines), total)
