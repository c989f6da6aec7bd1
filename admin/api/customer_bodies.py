"""What the admin API says and takes about customers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from admin.api.fields import MAX_ID, Given, RowId, Told, like
from admin.api.paging import PageQuery
from crm.customers.contact import MAX_TYPED
from crm.customers.records import FIELDS, MAX_TAGS, CustomerDraft

Typed = Annotated[str, Field(max_length=MAX_TYPED)]
TagName = Annotated[str, Field(min_length=1, max_length=60)]
Gender = Literal["female", "male", "other", "no_answer"]

_DRAFT = {
    "member_number": "KAI-00042", "name": "港 花", "kana": "ミナト ハナ", "birthday": "1990-04-01",
    "phone": "090-1234-5678", "email": "hana@example.jp", "gender": "female",
    "postal_code": "231-0023", "attributes": {"skin_type": "dry"}, "tags": ["vip"],
}  # fmt: skip
EXAMPLE = _DRAFT | {
    "id": 9, "phone": "+819012345678", "rank": "gold", "rank_until": "2027-11-30T15:00:00Z",
    "points": 320, "points_owed": 0, "linked": True, "purchase_count": 3, "purchase_total": 12_400,
    "first_purchased_at": "2026-04-01T03:00:00Z", "last_purchased_at": "2026-11-20T03:00:00Z",
    "merged_from": None, "version": 4, "created_at": "2026-04-01T02:00:00Z",
    "updated_at": "2026-11-20T03:00:00Z", "erased_at": None,
}  # fmt: skip


class CustomerRead(Told):
    """The person, as the shop knows them."""

    model_config = like(EXAMPLE)

    id: int
    member_number: str | None = Field(description="null while anonymous")
    name: str | None
    kana: str | None
    birthday: str | None = Field(description="YYYY-MM-DD, or --MM-DD without the year")
    phone: str | None = Field(description="E.164")
    email: str | None
    gender: str | None
    postal_code: str | None
    attributes: dict[str, str | int | float | bool] = Field(description="What the shop notes")
    tags: list[str]
    rank: str | None
    rank_until: datetime | None
    points: int
    points_owed: int = Field(description="Points that a later grant settles")
    linked: bool = Field(description="Whether a LINE account is linked")
    purchase_count: int
    purchase_total: int = Field(description="Yen, tax included, net of refunds")
    first_purchased_at: datetime | None
    last_purchased_at: datetime | None
    merged_from: int | None = Field(
        description="The id that was asked for, where that record became this one"
    )
    version: int
    created_at: datetime
    updated_at: datetime | None
    erased_at: datetime | None


class CustomerUpdate(Given):
    """What is to change: what is left out stays, null clears.

    Phone numbers, kana, dates and postal codes may be of any width; they are kept in one form.
    """

    model_config = like({"phone": "０９０－１２３４－５６７８", "attributes": {"skin_type": None}})

    member_number: Typed | None = None
    name: Typed | None = None
    kana: Typed | None = Field(None, description="Kept in full-width katakana")
    birthday: Typed | None = Field(None, examples=["1990-04-01", "--04-01"])
    phone: Typed | None = Field(None, description="Japanese unless it begins with a + and a code")
    email: Typed | None = None
    gender: Typed | None = Field(None, description="female, male, other or no_answer")
    postal_code: Typed | None = None
    attributes: dict[str, Any] = Field(
        default_factory=dict, max_length=100, description="By key; null clears a value"
    )
    tags: list[TagName] | None = Field(
        None, max_length=MAX_TAGS, description="All that the customer is to have"
    )

    def draft(self) -> CustomerDraft:
        """What is told of the customer."""
        told = {name: getattr(self, name) for name in FIELDS if name in self.model_fields_set}
        tags = None if "tags" not in self.model_fields_set else self.tags or []
        return CustomerDraft(**told, attributes=self.attributes, tags=tags)


class CustomerCreate(CustomerUpdate):
    """A new customer; everything may be left out."""

    model_config = like(_DRAFT)


class CustomerFilter(PageQuery):
    """Which customers."""

    q: str | None = Field(
        None, min_length=1, max_length=100, description="Part of the name, kana or member number"
    )
    member_number: str | None = Field(None, min_length=1, max_length=60)
    tag: str | None = Field(None, min_length=1, max_length=60)
    rank: str | None = Field(None, min_length=1, max_length=40)
    linked: bool | None = None
    phone: str | None = Field(None, min_length=1, max_length=60, description="Of any width")
    email: str | None = Field(None, min_length=1, max_length=254)


class TimelineEntry(Told):
    """One thing that happened, or that was sent or not sent."""

    model_config = like(
        {
            "at": "2026-11-22T01:00:00Z", "what": "delivery", "id": 88, "kind": "suppressed",
            "title_ja": "配信しませんでした", "title_en": "Not sent", "reason": "blocked",
            "reason_ja": "ブロックされているため",
            "reason_en": "The friend has blocked the account", "friend_id": 12,
            "data": {"source": "enrolment:501:step:0", "purpose": "marketing"},
        }
    )  # fmt: skip

    at: datetime
    what: Literal["activity", "delivery"] = Field(description="Which of the two `id` is of")
    id: int
    kind: str = Field(description="The activity's kind, or the delivery's state")
    title_ja: str
    title_en: str
    reason: str | None = Field(description="Why a message was not sent, or is not yet")
    reason_ja: str | None
    reason_en: str | None
    friend_id: int | None
    data: dict[str, Any]


class TagsRead(Told):
    """The tags of a customer."""

    model_config = like({"customer_id": 9, "tags": ["vip", "珈琲好き"]})

    customer_id: int
    tags: list[str]


class ConsentRead(Told):
    """What a customer wants to hear of a topic."""

    model_config = like(
        {"topic": "sales", "name": "セール・キャンペーン", "granted": False}
    )  # fmt: skip

    topic: str
    name: str
    granted: bool = Field(description="True where they have not said otherwise")


class ConsentList(Told):
    """A customer's word on every topic."""

    model_config = like(
        {
            "customer_id": 9,
            "consents": [{"topic": "sales", "name": "セール・キャンペーン", "granted": False}],
        }
    )

    customer_id: int
    consents: list[ConsentRead]


class ConsentSave(Given):
    """A customer's word on a topic."""

    model_config = like({"granted": False})

    granted: bool


class MergeCreate(Given):
    """Into which record, and why they are one person."""

    model_config = like({"into_customer_id": 4, "reason": "店頭で本人に確認"})

    into_customer_id: RowId
    reason: str = Field(min_length=1, max_length=200)


class MergeRead(Told):
    """Two records that became one."""

    model_config = like(
        {
            "id": 3, "from_id": 9, "into_id": 4, "reason": "店頭で本人に確認",
            "evidence": {"shared": ["phone"]}, "actor": "token:店長",
            "merged_at": "2026-11-22T01:00:00Z", "undone_at": None, "undone_by": None,
            "undo_until": "2026-12-22T01:00:00Z",
        }
    )  # fmt: skip

    id: int
    from_id: int
    into_id: int
    reason: str
    evidence: dict[str, Any]
    actor: str
    merged_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    undo_until: datetime = Field(description="Until when it can be undone")


class MergeFilter(PageQuery):
    """Which merges."""

    customer_id: int | None = Field(None, ge=1, le=MAX_ID, description="Either of the two records")
    undone: bool | None = None
