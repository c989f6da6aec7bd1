"""Customers out of files: all good rows in, each bad one with line, column and cure."""

import pytest

from core.errors import Fault, Invalid, NotFound
from crm.imports import mapping, saved
from crm.imports.mapping import MappingDraft
from crm.models import Customer
from tests.crm.imports.conftest import NOW, Desk, faults

FILE = """会員番号,氏名,フリガナ,生年月日,電話番号,メールアドレス,性別,郵便番号,タグ,備考
１００１,山田 花子,やまだ はなこ,2000-02-29,０９０ー１２３４ー５６７８,H@Example.JP,女,2310023,犬,x
1002,鈴木 健,,1980/12/31,,,男,,,
"""


async def test_a_japanese_file_is_read_whatever_its_width(desk: Desk) -> None:
    report = await desk.take("customers", FILE)

    assert (report.rows, report.new, report.left_out, report.ignored) == (2, 2, 0, ["備考"])
    columns = ("member_number", "name", "kana", "birthday", "phone", "email", "postal_code")
    assert await desk.rows(Customer, *columns) == [
        ("1001", "山田 花子", "ヤマダ ハナコ", "2000-02-29", "+819012345678", "h@example.jp",
         "231-0023"),
        ("1002", "鈴木 健", None, "1980-12-31", None, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
async def test_each_encoding_is_read(desk: Desk, encoding: str) -> None:
    text = FILE.replace("山田", "髙﨑①")  # in cp932, and not in Shift_JIS
    told = encoding if encoding == "cp932" else ""
    report = await desk.take("customers", text.encode(encoding), encoding=told)

    assert report.new == 2
    assert (await desk.rows(Customer, "name"))[0] == ("髙﨑① 花子",)


async def test_importing_again_doubles_nothing_and_blanks_change_nothing(desk: Desk) -> None:
    await desk.take("customers", FILE)
    same = await desk.take("customers", FILE)
    again = await desk.take("customers", "会員番号,氏名,電話番号\n1001,山田 花,\n1001,山田 華,\n")

    assert (same.new, same.changed, same.unchanged) == (0, 0, 2)
    assert (again.new, again.changed, again.unchanged) == (0, 1, 1)
    assert await desk.rows(Customer, "name", "phone") == [
        ("山田 華", "+819012345678"), ("鈴木 健", None),
    ]  # fmt: skip


async def test_bad_rows_are_listed_and_all_others_taken_in(desk: Desk) -> None:
    text = (
        "member_number,name,birthday,phone,email,attributes.size\r\n"
        "1,A,2041-01-01,,,\r\n"  # in the future
        "2,B,2039-02-29,12,,\r\n"  # no such day, no such phone
        ",C,,,,\r\n"
        '4,"D\nE",,,,\r\n'
        "5,E,,,\r\n"  # a cell too few
        "6,F,,,,L\r\n"  # no such attribute
        "7,G,2000-02-29,,g@example.jp,\r\n"
        "\r\n"
        "8,H,,,nonsense,\r\n"
    )
    for dry_run in (True, False):
        report = await desk.take("customers", text, dry_run=dry_run)

        assert faults(report) == [
            (4, 1, "member_number"),
            (7, None, ""),
            (2, 3, "birthday"),
            (3, 3, "birthday"),
            (3, 4, "phone"),
            (8, 6, "attributes.size"),
            (11, 5, "email"),
        ]
        assert (report.rows, report.records, report.left_out, report.new) == (8, 8, 6, 2)
        assert all(fault.message and fault.message_ja for fault in report.faults)
        known = [] if dry_run else [("4",), ("7",)]
        assert await desk.rows(Customer, "member_number") == known


STOPPED = [
    ("", "no heading"),
    ("name,phone\nA,\n", "member_number"),
    ("member_number,name\n1,A\x00\n", "NUL"),
    ('member_number,name\n1,"A\n', "quote"),
    ('member_number,name\n1,"A"B\n', "quote"),
    (f'member_number,name\n0,ok\n1,"{"x" * 10_000_000}"\n', "longer than|cell"),
    ("member_number,name\n0,ok\n1," + "x\n" * 0 + "y" * 200_000 + "\n", "cell of more than"),
]


@pytest.mark.parametrize(("text", "said"), STOPPED)
async def test_a_file_that_is_broken_changes_nothing(desk: Desk, text: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        await desk.take("customers", text)

    assert await desk.rows(Customer, "id") == []
    told = " ".join(f"{fault.path} {fault.message}" for fault in refused.value.faults)
    assert any(word in told for word in said.split("|"))


WRONG = [
    # written as, read as, what to try
    ("cp932", "", "cp932"),
    ("utf-8", "cp932", "utf-8"),
    ("utf-8", "shift_jis", "utf-8"),
    ("cp932", "utf-8", "cp932"),
]


@pytest.mark.parametrize(("written", "told", "cure"), WRONG)
async def test_another_encoding_is_an_error_with_its_cure(
    desk: Desk, written: str, told: str, cure: str
) -> None:
    ascii_only = "".join(f"{n},A\n" for n in range(20_000))  # the fault is far down
    raw = ("member_number,name\n" + ascii_only + "20000,花子\n").encode(written)

    with pytest.raises(Invalid) as refused:
        await desk.take("customers", raw, encoding=told)

    [fault] = refused.value.faults
    assert fault.line == 20_002
    assert f"--encoding {cure}" in fault.message
    assert f"--encoding {cure}" in fault.message_ja
    assert await desk.rows(Customer, "id") == []


async def test_an_unknown_encoding_is_refused(desk: Desk) -> None:
    with pytest.raises(Invalid):
        await desk.take("customers", b"member_number\n1\n", encoding="euc-jp")


async def test_a_mapping_of_the_shops_own_is_saved_and_used(desk: Desk) -> None:
    own = MappingDraft(
        "customers",
        {"member_number": "No", "family_name": "Sei", "given_name": "Mei", "gender": "S"},
        {"gender": {"1": "male", "2": "female"}},
    )
    async with desk.db.transaction() as session:
        _, new = await saved.save(session, "ours", own, expected=None, now=NOW)
        assert new
    await desk.take("customers", "No;Mei;Sei;S\n9;花子;山田;2\n", "ours")

    found = await desk.rows(Customer, "member_number", "name", "gender")
    assert found == [("9", "山田 花子", "female")]
    with pytest.raises(Invalid):
        await desk.take("purchases", "No\n1\n", "ours")
    with pytest.raises(NotFound):
        await desk.take("customers", "No\n1\n", "nobodys")


BAD_MAPPINGS: list[tuple[MappingDraft, str]] = [
    (MappingDraft("customers", {"name": "N"}), "columns.member_number"),
    (MappingDraft("customers", {"member_number": "N", "shoe": "S"}), "columns.shoe"),
    (MappingDraft("customers", {"member_number": "N"}, {"gender": {"1": "male"}}), "values.gender"),
    (MappingDraft("purchases", {"order_id": "a", "purchased_at": "b", "total": "c", "status": "d"},
                  {"status": {"x": "lost"}}), "values.status.x"),
]  # fmt: skip


@pytest.mark.parametrize(("draft", "path"), BAD_MAPPINGS)
def test_a_mapping_that_cannot_work_is_refused(draft: MappingDraft, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        mapping.check(draft)
    assert path in {fault.path for fault in refused.value.faults if isinstance(fault, Fault)}
