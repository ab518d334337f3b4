"""What every JobQueue has to keep, beside the Records whose transactions its jobs join.

A test module subclasses `JobQueueContract` and gives the fixture `open_store`, as for `RecordsContract`.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from loadingdock.testing.jobs.life import JobLifeContract
from loadingdock.testing.jobs.model import JobMachine
from loadingdock.testing.jobs.sharing import FairnessContract, LeaseContract
from loadingdock.testing.jobs.waking import ScheduleContract, WakingContract
from loadingdock.testing.records.store import OpenStore


class JobQueueContract(JobLifeContract, LeaseContract, FairnessContract, WakingContract, ScheduleContract):
    """All of it."""

    @pytest.mark.parametrize("examples", [20, pytest.param(250, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
    def test_the_queue_is_the_model(self, open_store: OpenStore, examples: int) -> None:
        class Machine(JobMachine):
            stores = staticmethod(open_store)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )


__all__ = ["JobQueueContract"]
