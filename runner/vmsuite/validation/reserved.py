"""What scenarios of the founding system may say and no installed plugin serves yet.

Such a step is no mistake of the file: where the plugin is installed, it is valid.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmsuite.findings import Finding

STEPS = {
    "vdi_action": (
        "create_desk_pool",
        "enable_desk_pool",
        "disable_desk_pool",
        "delete_desk_pool",
        "start_domain",
        "shutdown_domain",
        "reboot_domain",
        "delete_domain",
        "bind_user",
        "get_desk_pool_domains",
        "start_all_domains",
        "user_login",
        "user_logout",
        "get_user_domain",
    ),
    "virtualization_action": ("send_keyboard_to_all",),
}
"""Actions by step type."""

CONDITIONS = ("domain_status", "all_domains_running", "desk_pool_created")


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPlugin(Finding):
    """A step or condition that a plugin would serve which is not installed.

    ``lint`` warns of it; a run cannot do without it.
    """

    kind: str
    """What is missing: ``vdi_action: create_desk_pool``, ``condition: …``."""
