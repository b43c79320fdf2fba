"""A group among accidents: whatever happens, it comes to rest with what is desired."""

from __future__ import annotations

from contextlib import ExitStack

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from orchestrator.localcloud.groups import ENDING
from tests.orchestrator.localcloud.cloud import Cloud, a_cloud

MAX = 4
NUMBERS = st.integers(0, 11)  # ids are chance; a number chooses among what there is
RESULTS = st.sampled_from(["CONTINUE", "ABANDON"])


class GroupAmongAccidents(RuleBasedStateMachine):
    """Machines die, sizes change, hooks are answered, put off or forgotten, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.cloud: Cloud = self.stack.enter_context(a_cloud())
        self.cloud.make_group(MaxSize=MAX, DesiredCapacity=2)
        self.cloud.hook("LAUNCHING", "warm")
        self.cloud.hook("TERMINATING", "drain")

    def teardown(self) -> None:
        try:
            self._comes_to_rest()
        finally:
            self.stack.close()

    @rule(count=st.integers(0, MAX))
    def desire(self, count: int) -> None:
        self.cloud.desire(count)

    @rule(which=NUMBERS)
    def a_machine_dies(self, which: int) -> None:
        running = list(self.cloud.machines.running())
        if running:
            self.cloud.machines.kill(running[which % len(running)])

    @rule(which=NUMBERS, shrink=st.booleans())
    def somebody_ends_one(self, which: int, shrink: bool) -> None:
        group = self.cloud.group()
        assert group is not None
        if not self._states():
            return
        self.cloud.call(
            "autoscaling",
            "terminate_instance_in_auto_scaling_group",
            InstanceId=list(self._states())[which % len(self._states())],
            ShouldDecrementDesiredCapacity=shrink and group["DesiredCapacity"] > 0,
        )

    @rule(which=NUMBERS, result=RESULTS)
    def a_hook_is_answered(self, which: int, result: str) -> None:
        waiting = {k: v for k, v in self._states().items() if v.endswith(":Wait")}
        if not waiting:
            return
        ident = list(waiting)[which % len(waiting)]
        self.cloud.call(
            "autoscaling",
            "complete_lifecycle_action",
            AutoScalingGroupName="web",
            LifecycleHookName="warm" if waiting[ident] == "Pending:Wait" else "drain",
            InstanceId=ident,
            LifecycleActionResult=result,
        )
        self.cloud.after(ticks=1)  # one answer to each wait

    @rule(seconds=st.integers(0, 90), ticks=st.integers(1, 3))
    def time_passes(self, seconds: int, ticks: int) -> None:
        self.cloud.after(seconds, ticks=ticks)

    @rule(boots=st.booleans())
    def machines_start_or_do_not(self, boots: bool) -> None:
        self.cloud.machines.boots = lambda _ident: boots

    @invariant()
    def never_more_than_the_maximum_beside_those_that_leave(self) -> None:
        staying = [one for one in self._states().values() if one not in ENDING]
        assert len(staying) <= MAX

    @invariant()
    def every_machine_is_somebodys(self) -> None:
        assert set(self.cloud.machines.running()) <= set(self._states())

    def _states(self) -> dict[str, str]:
        """As `Cloud.states`, without the time that the API takes."""
        group = self.cloud.world.backend("autoscaling").autoscaling_groups["web"]
        return {state.instance_id: state.lifecycle_state for state in group.instance_states}

    def _comes_to_rest(self) -> None:
        self.cloud.machines.boots = lambda _ident: True
        for _ in range(4):  # launches held back, and the heartbeats of both hooks
            self.cloud.after(61, ticks=4)
        group = self.cloud.group()
        assert group is not None
        assert list(self._states().values()) == ["InService"] * group["DesiredCapacity"]
        assert set(self.cloud.machines.running()) == set(self._states())
        assert set(self.cloud.world.notices.lifecycle) == set(self._states())


def test_whatever_happens_the_group_comes_to_rest(account: None) -> None:
    settings_ = settings(max_examples=25, stateful_step_count=20, deadline=None)
    run_state_machine_as_test(GroupAmongAccidents, settings=settings_)
