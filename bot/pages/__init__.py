"""Pages that customers open from the chat."""
