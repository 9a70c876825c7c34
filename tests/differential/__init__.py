"""Differential tests: the same questions to a private, real Cyrus IMAP server and to the package."""
