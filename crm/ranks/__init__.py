"""Ranks: tiers that customers earn by what they buy, kept for a term."""
