"""Purchases: what was bought where, whatever the order in which the news of it comes."""
