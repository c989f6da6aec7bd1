"""Coupons: definitions, each customer's copies, and their use, as often as they say."""
