"""Who owns what a run makes, on disk before it is made; and sweeping after the dead.

A run *claims* what it is about to make with one small file in the user's state folder
and takes the claim back as the last thing of a good end. A record whose runner is dead
tells what a killed run may have left: ``sweep`` ends its processes, removes its
folders, asks the drivers, and drops the record.

Only the owner's own records count, and only while nobody alive could be meant: a
record of another user, of another host or container, one that cannot be read, and
one whose runner lives are left alone.
"""

from vmsuite.ownership.claim import Claim, claim
from vmsuite.ownership.fate import Fate, Runner, this_runner
from vmsuite.ownership.ledger import Entry, entries
from vmsuite.ownership.record import OwnFolder, Record, parse
from vmsuite.ownership.sweep import Swept, needed, sweep
from vmsuite.ownership.traces import Traces, traces_of, unknown_owners
from vmsuite.ownership.words import told

__all__ = [
    "Claim",
    "Entry",
    "Fate",
    "OwnFolder",
    "Record",
    "Runner",
    "Swept",
    "Traces",
    "claim",
    "entries",
    "needed",
    "parse",
    "sweep",
    "this_runner",
    "told",
    "traces_of",
    "unknown_owners",
]
