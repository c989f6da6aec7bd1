"""Ground floor: settings, database, clock, jobs, logs, metrics, the LINE client. No business word."""
