"""What leaves for LINE, and when it may: outbox, dispatcher, messages, quota."""
