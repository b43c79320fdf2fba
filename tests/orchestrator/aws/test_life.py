"""Plan, up, up again, change, down: what exists afterwards."""

from __future__ import annotations

from tests.orchestrator.aws.account import WHOLE, Account


def test_up_again_and_down(account: Account) -> None:
    plan = account.plan()
    assert {step.action for step in plan.steps} == {"create"}
    assert account.things() == {}, "a plan changes nothing"
    assert all(call.reads for call in account.calls)

    account.up()
    assert account.things() == WHOLE

    account.calls.clear()
    assert account.up().changes == ()
    assert all(call.reads for call in account.calls), "again: nothing is changed"

    account.down()
    assert account.things() == {}
    assert account.down() == 0
