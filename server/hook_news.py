"""What a webhook of a shop or till tells, whoever has sent it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crm.customers.records import CustomerDraft
from crm.purchases.draft import PurchaseDraft


@dataclass(frozen=True, slots=True)
class News:
    """Orders and people; `paths` of the orders begin their faults' paths.

    `names`: the sender's own ids of orders, and the numbers by which their buyers know them.
    """

    orders: Sequence[PurchaseDraft] = ()
    paths: Sequence[str] = ()
    people: Sequence[CustomerDraft] = ()
    people_path: str = "customers"
    names: Mapping[str, str] = field(default_factory=dict)
