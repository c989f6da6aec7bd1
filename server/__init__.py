"""The roof: web application, worker, timetable, reactions and command line."""
