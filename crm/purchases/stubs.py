"""Orders of which something came before the order itself: kept, and counted for nothing yet."""

from typing import Any

NOT_HERE = (
    "注文の内容がまだ届いていません（先に届いた返金・発送などを預かっています）"
    "／The order itself has not come yet; what came before it is kept for it"
)


def is_stub(purchase: Any) -> bool:  # noqa: ANN401
    """Whether the order itself has not come yet."""
    return NOT_HERE in purchase.warnings
