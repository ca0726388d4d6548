"""Runs one case to its result: requirements, attempts, expectation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from vmsuite.engine.attempt import Controls, run_attempt
from vmsuite.engine.environment import case_environment
from vmsuite.engine.evidence import leaves_files, read_metrics
from vmsuite.engine.requirements import arch_of, unmet
from vmsuite.engine.services import Services
from vmsuite.engine.stop import Stop
from vmsuite.engine.verdict import Verdict, explained, judge_error
from vmsuite.errors import VmsuiteError
from vmsuite.events import (
    AttemptFinished,
    AttemptStarted,
    CaseFinished,
    CaseStarted,
    LogLine,
    Notice,
)
from vmsuite.model import Case, Json, Outcome, Suite
from vmsuite.ports import CaseInfo

_NOT_RETRIED = {Outcome.PASSED, Outcome.XFAILED, Outcome.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRun:
    """One selected case of one suite, and where its evidence goes."""

    services: Services
    suite: Suite
    case: Case
    key: str
    """What events of this case carry."""
    folder: Path
    """The suite's run folder."""

    async def run(self, around: Controls) -> Outcome:
        """Run it and say so in events; return how it ended. Raises nothing."""
        services, case = self.services, self.case
        started = services.clock()
        self._say_started(started)
        verdict, metrics = self.not_wanted(around.stop), None
        if verdict is None:
            info = self.info
            if leaves_files(case):
                self._make_place(info)
            try:
                verdict = await self._attempts(info, around)
            except Exception as fault:  # noqa: BLE001 - of ours; the others go on
                verdict = judge_error(explained(fault))
            if leaves_files(case):
                metrics = read_metrics(info)
        verdict = expected(case, verdict)
        now = services.clock()
        self._say_finished(verdict, now, now - started, metrics)
        return verdict.outcome

    def skip(self, reason: str) -> None:
        """Say that it never started, and why."""
        now = self.services.clock()
        self._say_started(now)
        verdict = Verdict(outcome=Outcome.SKIPPED, message=reason)
        self._say_finished(verdict, now, 0.0, None)

    async def _attempts(self, info: CaseInfo, around: Controls) -> Verdict:
        emit, key, clock = self.services.emit, self.key, self.services.clock
        number, waited = 0, 0.0
        while True:
            number += 1
            began = clock()
            emit(AttemptStarted(at=began, case=key, number=number))
            again = number > 1
            verdict = await run_attempt(around, self.case, info, key, again=again)
            waited += verdict.waited
            now = clock()
            emit(
                AttemptFinished(
                    at=now,
                    case=key,
                    number=number,
                    outcome=verdict.outcome,
                    duration=now - began,
                    message=verdict.message,
                    hint=verdict.hint,
                    evidence=verdict.evidence,
                    cause=verdict.cause,
                    location=verdict.location,
                    exit_code=verdict.exit_code,
                )
            )
            done = expected(self.case, verdict).outcome in _NOT_RETRIED
            done = done or number > self.case.retries
            if done or around.stop.because is not None:
                return dataclasses.replace(verdict, waited=waited)
            text = f"attempt {number} ended as {verdict.outcome}; trying again"
            emit(LogLine(case=key, text=text))

    def not_wanted(self, stop: Stop) -> Verdict | None:
        """Return why the case does not even start, or None."""
        reason = stop.reason
        if not reason:
            arch = arch_of(self.suite.arch)
            reason = unmet(self.suite.requires, arch) or unmet(self.case.requires, arch)
        if not reason and self.case.when is not None:
            try:
                scope = {**self.case.vars, "env": _env()}
                if not self.services.templates.evaluate(self.case.when, scope):
                    reason = f"when: {self.case.when} is not so"
            except VmsuiteError as wrong:
                wrong.location = self.case.location
                return judge_error(wrong)
        return Verdict(outcome=Outcome.SKIPPED, message=reason) if reason else None

    def _make_place(self, info: CaseInfo) -> None:
        """Make the folder for what the case leaves; without one it runs all the same,
        and the run says that evidence is lost.
        """
        try:
            info.artifact_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            text = f"{info.artifact_dir}: cannot be made: {error.strerror}"
            self.services.emit(Notice(case=self.key, text=text, broken=True))

    @property
    def info(self) -> CaseInfo:
        """What steps and machines may know of the case."""
        services, case = self.services, self.case
        log_path = self.folder / f"cases/{case.slug}.log"
        artifact_dir = self.folder / f"artifacts/{case.slug}"
        timeout = case.timeout * services.budgets.factor
        environment = case_environment(
            workspace=services.workspace,
            run_id=services.run_id,
            run_dir=self.folder,
            name=case.name,
            slug=case.slug,
            log_path=log_path,
            artifact_dir=artifact_dir,
            timeout=timeout,
            arch=arch_of(self.suite.arch),
            owner=services.environment,
        )
        return CaseInfo(
            suite=self.suite.name,
            name=case.name,
            slug=case.slug,
            suite_dir=self.suite.path.parent,
            workspace=services.workspace,
            run_id=services.run_id,
            run_dir=self.folder,
            log_path=log_path,
            artifact_dir=artifact_dir,
            timeout=timeout,
            timeout_factor=services.budgets.factor,
            environment=environment,
        )

    def _say_started(self, now: float) -> None:
        case = self.case
        self.services.emit(
            CaseStarted(
                at=now,
                case=self.key,
                suite=self.suite.name,
                name=case.name,
                slug=case.slug,
                description=case.description,
                tags=tuple(sorted(case.tags)),
                location=case.location,
                allow_failure=case.allow_failure,
                log_path=f"cases/{case.slug}.log",
                artifact_dir=f"artifacts/{case.slug}",
            )
        )

    def _say_finished(
        self, verdict: Verdict, now: float, duration: float, metrics: Json
    ) -> None:
        self.services.emit(
            CaseFinished(
                at=now,
                case=self.key,
                outcome=verdict.outcome,
                duration=duration,
                waited=verdict.waited,
                message=verdict.message,
                metrics=metrics,
            )
        )


def expected(case: Case, verdict: Verdict) -> Verdict:
    """Return the verdict in the light of ``expect: fail``.

    Only a wrong answer of the subject fulfils it: a broken tool or lost time does not.
    """
    if case.expect != "fail":
        return verdict
    if verdict.outcome is Outcome.FAILED:
        message = f"failed as expected: {verdict.message}"
        return dataclasses.replace(verdict, outcome=Outcome.XFAILED, message=message)
    if verdict.outcome is Outcome.PASSED:
        message = "passed, but 'expect: fail' says that it must not"
        return dataclasses.replace(verdict, outcome=Outcome.XPASSED, message=message)
    return verdict


def _env() -> dict[str, str]:
    import os  # noqa: PLC0415

    return dict(os.environ)
