"""Linking: a friend on LINE and a member of the shop become one customer."""
