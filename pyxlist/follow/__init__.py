"""Storey 5, keeping an index true: changes arrive here and leave as one write transaction.

hooks.py    what a server calls when it changed a mailbox: Cyrus' mboxlist verbs
"""
