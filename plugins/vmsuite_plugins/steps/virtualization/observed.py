"""Whether the guest is asked if input arrived: the one place that decides it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from vmsuite.errors import Unsupported
from vmsuite.model import Json
from vmsuite.ports import Input, Observer, StepContext
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction


class InputAction(VirtualizationAction):
    """Input at the machine's virtual keyboard or pointer."""

    needs = (Input,)

    verify: bool = Field(
        default=False,
        description=(
            "Fail unless the guest confirms that it arrived as sent; "
            "needs a machine with an observer of input."
        ),
    )

    @classmethod
    def needed(cls, fields: Mapping[str, Json]) -> tuple[type[Any], ...]:
        """Ask for an observer where arrival is to be verified.

        So ``verify: true`` on a machine without an observer is an error found in
        planning, also in scenarios of other systems, which accept it everywhere:
        sending blind and calling it verified would be a false pass.
        """
        return (*cls.needs, Observer) if fields.get("verify") is True else cls.needs

    def admit_blind(self, context: StepContext) -> None:
        """Say that this input goes out blind.

        Raises:
            Unsupported: it was to be verified, and nothing here can.

        """
        if self.verify:
            raise Unsupported(
                f"{self.action}: nothing in the guest of machine "
                f"{context.machine().name!r} confirms that input arrived",
                hint="leave out 'verify', and look for what the input causes instead",
            )
        context.log(f"{self.action}: sent blind, nothing confirms that it arrives")
