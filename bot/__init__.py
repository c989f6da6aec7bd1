"""LINE talks to us: webhook intake, event handlers, conversation."""
