"""Points: an append-only ledger with lots, whose sums always agree."""
