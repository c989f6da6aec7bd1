"""Customers: one person, one record; what the shop notes on them, and when two records are one."""
