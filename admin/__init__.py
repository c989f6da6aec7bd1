"""Staff talk to us: the admin API, tokens and the audit log."""
