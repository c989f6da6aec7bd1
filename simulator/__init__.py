"""LINE on your desk: a stand-in for the LINE platform, a phone in the browser, a sample shop."""
