"""Ground floor: settings, database, clock, jobs, logs, the LINE client. No business word."""
