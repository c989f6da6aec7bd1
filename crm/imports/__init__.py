"""CSV files in and out: customers and purchases, from other shops' systems and to spreadsheets."""
