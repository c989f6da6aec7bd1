"""The LINE platform as the rest of Okaeri sees it: checks, signatures, limits and the client.

This package is the only one of ours that may import `linebot`. It knows no database, no settings
and no business word; channel secrets and access tokens come in as plain arguments.
"""
