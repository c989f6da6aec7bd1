"""What the bot says to what: one module a subject, each with a router."""
