"""What the shop knows: friends, customers, activities."""
