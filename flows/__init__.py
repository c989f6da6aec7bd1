"""What is sent when: definitions, triggers, enrolments, steps."""
