"""Checks whole documents: every mapping by the schema of what it says it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from vmsuite.documents import Document, derive
from vmsuite.expressions import Templates
from vmsuite.findings import Finding, Severity
from vmsuite.model import NOWHERE, Json
from vmsuite.registry import Registry
from vmsuite.secrets import Masker
from vmsuite.validation import editor
from vmsuite.validation.catalogue import Absent, Catalogue, Found, Known
from vmsuite.validation.composing import fields_schema
from vmsuite.validation.fault import Fault, Pointer
from vmsuite.validation.parts import VariableFields, is_variable_source
from vmsuite.validation.reserved import MissingPlugin
from vmsuite.validation.shape import Shape
from vmsuite.validation.words import seen

Report = Callable[[Finding], None]


class Validator:
    """Finds everything that is wrong with how a suite is written, in one pass."""

    def __init__(self, registry: Registry) -> None:
        self._catalogue = Catalogue(registry)
        self._templates = Templates(registry.functions)

    def check(self, document: Document) -> list[Finding]:
        """Return what is wrong, in the order of the document.

        Foreign formats must be translated already. A kind that an installed plugin
        does not serve, though scenarios know it, is a ``MissingPlugin`` (a warning).
        """
        check = _Check(document, self._catalogue, self._templates)
        check.suite()
        return check.findings()

    def check_machine(self, name: str, machines: Mapping[str, Json]) -> list[Finding]:
        """Return what is wrong with one of the machines that stand outside suites."""
        whole = derive({"machines": machines}, NOWHERE)
        document = Document(file="", format="toml", value=whole)
        check = _Check(document, self._catalogue, self._templates)
        check.machine(name, machines[name], ("machines", name))
        return check.findings()


@cache
def _suite_shape() -> Shape:
    return Shape(editor.suite_fields())


@cache
def _case_shape() -> Shape:
    return Shape(editor.case_fields())


@cache
def _variable_shape() -> Shape:
    return Shape(fields_schema(VariableFields))


class _Check:
    """One pass over one document."""

    def __init__(
        self, document: Document, catalogue: Catalogue, templates: Templates
    ) -> None:
        self._document = document
        self._catalogue = catalogue
        self._templates = templates
        self._found: list[Finding] = []
        self._masker = Masker()

    def findings(self) -> list[Finding]:
        """Return what was found, without the secrets that the file itself holds."""
        mask = self._masker.mask
        found = [
            replace(one, message=mask(one.message), hint=mask(one.hint))
            for one in self._found
        ]
        return sorted(found, key=lambda one: one.location)

    # --- the parts of a suite ---------------------------------------------------

    def suite(self) -> None:
        """Check the whole document."""
        value = self._document.value
        if not isinstance(value, dict):
            self._fault(Fault((), f"a suite must be a mapping, not {seen(value)}"), ())
            return
        self._variables(value.get("vars"))
        self._shape(_suite_shape(), value, (), "suite")
        self._templates_in(value.get("companions"), ("companions",))
        self._templates_in(value.get("matrix"), ("matrix",))
        self._machines(value.get("machines"), ("machines",))
        cases = value.get("cases")
        for number, written in enumerate(cases if isinstance(cases, list) else ()):
            self._case(written, ("cases", number))

    def _case(self, value: Json, pointer: Pointer) -> None:
        if not isinstance(value, dict):
            message = f"a case must be a mapping, not {seen(value)}"
            self._fault(Fault((), message), pointer)
            return
        name = value.get("name")
        what = f"case {seen(name)}" if isinstance(name, str) and name else "case"
        self._shape(_case_shape(), value, pointer, what)
        self._templates_in(value.get("companions"), (*pointer, "companions"))
        self._templates_in(value.get("matrix"), (*pointer, "matrix"))
        self._machines(value.get("machines"), (*pointer, "machines"))

    def _variables(self, value: Json) -> None:
        if not isinstance(value, dict):
            return
        for name, written in value.items():
            pointer = ("vars", name)
            if is_variable_source(written):
                self._learn_secret(written)
                what = f"variable {seen(name)}"
                for fault in _variable_shape().faults(written, what):
                    self._fault(fault, pointer)
            else:
                self._templates_in(written, pointer)

    def _learn_secret(self, written: dict[str, Json]) -> None:
        """Cover what a file says literally though it calls it a secret."""
        if not written.get("secret"):
            return
        for key in ("value", "default"):
            if isinstance(written.get(key), str | int | float):
                self._masker.add(str(written[key]))

    def _machines(self, value: Json, pointer: Pointer) -> None:
        if not isinstance(value, dict):
            return  # the schema around has said so
        for name, written in value.items():
            self.machine(name, written, (*pointer, name))

    def machine(self, name: str, written: Json, pointer: Pointer) -> None:
        """Check one machine."""
        what = f"machine {seen(name)}"
        if isinstance(written, dict):
            self._kind(self._catalogue.machine(written, what), written, pointer)
        else:
            message = f"{what} must be a mapping, not {seen(written)}"
            self._fault(Fault((), message), pointer)

    # --- steps and conditions ---------------------------------------------------

    def _block(self, value: Json, pointer: Pointer) -> None:
        if not isinstance(value, list):
            return  # the schema around has said so
        step = self._catalogue.step
        for number, written in enumerate(value):
            place = (*pointer, number)
            if isinstance(written, dict):
                self._kind(step(written), written, place)
            else:
                message = f"a step must be a mapping with 'type', not {seen(written)}"
                self._fault(Fault((), message), place)

    def _kind(self, found: Found, value: dict[str, Json], pointer: Pointer) -> None:
        """Check a step, condition or machine by what it was found to be."""
        if isinstance(found, Known):
            self._shape(found.shape, value, pointer, found.what)
            for key, item in value.items():
                if key in found.shape.own:
                    continue  # steps and conditions are checked by themselves
                if type(item) is str:
                    if "{{" in item:
                        self._templates_in(item, (*pointer, key))
                elif isinstance(item, dict | list):
                    self._templates_in(item, (*pointer, key))
        elif isinstance(found, Absent):
            self._absent(found, pointer)
        else:
            self._fault(found, pointer)

    def _shape(
        self, shape: Shape, value: dict[str, Json], pointer: Pointer, what: str
    ) -> None:
        for fault in shape.faults(value, what):
            self._fault(_advised(fault, value), pointer)
        for place in shape.places:
            for below, inner in place.within(value):
                if place.mark == "x-block":
                    self._block(inner, (*pointer, *below))
                elif place.mark == "x-condition":
                    self._condition(inner, (*pointer, *below))
                elif isinstance(inner, str):
                    self._expression(inner, (*pointer, *below))

    def _condition(self, value: Json, pointer: Pointer) -> None:
        if isinstance(value, dict):
            self._kind(self._catalogue.condition(value), value, pointer)

    # --- templates --------------------------------------------------------------

    def _expression(self, text: str, pointer: Pointer) -> None:
        wrong = self._templates.check_expression(text)
        if wrong is not None:
            self._fault(Fault((), f"expression: {wrong}"), pointer)

    def _templates_in(self, value: Json, pointer: Pointer) -> None:
        for trouble in self._templates.check(value):
            self._fault(Fault(trouble.pointer, trouble.message), pointer)

    # --- findings ---------------------------------------------------------------

    def _fault(self, fault: Fault, pointer: Pointer) -> None:
        place = (*pointer, *fault.pointer)
        self._found.append(
            Finding(
                location=self._document.locate(place, key=fault.at_key),
                message=fault.message,
                hint=fault.hint,
            )
        )

    def _absent(self, absent: Absent, pointer: Pointer) -> None:
        self._found.append(
            MissingPlugin(
                location=self._document.locate((*pointer, absent.key)),
                message=f"no installed plugin serves '{absent.kind}'",
                hint="a run needs the plugin that does",
                severity=Severity.WARNING,
                kind=absent.kind,
            )
        )


def _advised(fault: Fault, value: dict[str, Json]) -> Fault:
    """Say more of steps that stand beside the cases."""
    if fault.pointer == ("steps",) and fault.at_key and "cases" in value:
        hint = "steps belong into a case; a file of one case has 'steps' and no 'cases'"
        return replace(fault, hint=hint)
    return fault
