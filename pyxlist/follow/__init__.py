"""Storey 5, keeping an index true: changes arrive here and leave as one write transaction.

hierarchy.py  parents, missing ancestors, what a rename means
hooks.py      what a server calls when it changed a mailbox: Cyrus' mboxlist verbs
follower.py   one step: look at a live source, apply what was appended, or build by difference
loop.py       steps for as long as the process lives
wake.py       when to look again: inotify where writes raise events, otherwise a short sleep
beside.py     subscriptions and annotations, which live in files of their own
notify.py     Cyrus' notify socket, in both its forms
events.py     what a notification tells, applied; what it does not, recorded
uri.py        the URLs in them -> key names
status.py     what a follower did and how far behind it is, for people and for Prometheus
"""

from pyxlist.follow.follower import Follower, FollowReport
from pyxlist.follow.loop import follow

__all__ = ["FollowReport", "Follower", "follow"]
