"""Speaks to the native agent: asks it, and decodes what it tells of the guest's input.

The wire is defined once, in the file that runs in the guest (``agents/native``); its
README says how it looks.
"""

from vmsuite_plugins.protocols.native_agent.answers import (
    Clock,
    Hello,
    Woken,
    woken,
)
from vmsuite_plugins.protocols.native_agent.connection import (
    PORT_NAME,
    NativeAgent,
    unheard,
)

__all__ = ["PORT_NAME", "Clock", "Hello", "NativeAgent", "Woken", "unheard", "woken"]
