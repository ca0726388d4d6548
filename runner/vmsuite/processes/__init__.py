"""Host processes that really end.

``start`` runs a program in a session of its own for the length of a ``with`` block,
``run`` runs one to its end. However the block is left, by an error or a cancellation
at any moment, the whole process group gets SIGTERM, a grace, then SIGKILL, and so
does what left the group or session: descendants are known by a variable in their
environment. Pipes that a grandchild holds open are never waited for.

Every process carries the run's token (``VMSUITE_OWNER``); ``guard`` starts a small
process that outlives a runner killed by SIGKILL and ends all that carry it. Direct
children besides ask the kernel to die with their parent, where ``setpriv`` is there.

What can get away: a process that left its session *and* was executed with another
environment (``env -i setsid …``), or that overwrote its own, as daemons do that set
their process title; and one of another user (``sudo``). A child that is just being
forked when the runner dies shows the runner's environment until it has been executed;
so the guard looks several times. Needs Linux 5.4 or later for pidfd.
"""

from vmsuite.processes.child import CHILD, Child, Exit
from vmsuite.processes.guard import Guard, guard
from vmsuite.processes.output import Kept, Lines, Sink, Tail, decode
from vmsuite.processes.owned import OWNER, find_owned
from vmsuite.processes.patience import Patience
from vmsuite.processes.programs import dying_with_parent, find_program
from vmsuite.processes.starting import Completed, run, start
from vmsuite.processes.sweep import kill_owned

__all__ = [
    "CHILD",
    "OWNER",
    "Child",
    "Completed",
    "Exit",
    "Guard",
    "Kept",
    "Lines",
    "Patience",
    "Sink",
    "Tail",
    "decode",
    "dying_with_parent",
    "find_owned",
    "find_program",
    "guard",
    "kill_owned",
    "run",
    "start",
]
