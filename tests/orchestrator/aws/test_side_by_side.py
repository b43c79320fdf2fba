"""Steps are taken side by side where nothing depends, and end cleanly."""

from __future__ import annotations

import _thread
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.aws.door import Call, Phase
from orchestrator.aws.errors import CloudError
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.progress import Things, Turn, shown
from orchestrator.deploy.resource import Key
from tests.orchestrator.aws.account import WHOLE, Account
from tests.orchestrator.aws.test_refusals import Refusing, refusal

_DEADLINE_S = 20.0


def journaled(account: Account) -> list[dict[str, Any]]:
    lines = (account.folder / "journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_what_others_need_is_complete_before_they_begin(account: Account) -> None:
    needs = {s.key: s.wanted.needs for s in account.up().steps if s.wanted}
    at = {
        (entry["phase"], entry["action"], Key(entry["kind"], entry["name"])): number
        for number, entry in enumerate(journaled(account))
    }
    for key, needed in needs.items():
        for need in needed:
            assert at["after", "complete", need] < at["before", "create", key]


def test_what_does_not_depend_is_made_at_the_same_time(account: Account) -> None:
    """Each waits until the other's call has begun: one after the other, this would not end."""
    both = threading.Barrier(2)

    def meet(call: Call, phase: Phase) -> bool:
        if call.operation in ("create_log_group", "allocate_address") and phase == "before":
            both.wait(_DEADLINE_S)
        return False

    account.stop = meet
    account.up()
    assert account.things() == WHOLE


def test_a_refusal_lets_the_others_come_to_their_end(account: Account) -> None:
    account.stop = Refusing("allocate_address", refusal("AccessDenied"))
    with pytest.raises(CloudError, match="allocate_address"):
        account.up()
    with account.journal as journal:
        assert journal.unfinished == [Key("address", "front")]
    begun = [e for e in journaled(account) if e["phase"] == "before"]
    ended = [e for e in journaled(account) if e["phase"] == "after"]
    assert len(begun) == len(ended) + 1
    assert "instance" not in account.things(), "what needs the address was never begun"


def test_two_refusals_are_both_told(account: Account) -> None:
    both = threading.Barrier(2)

    def refuse(call: Call, phase: Phase) -> bool:
        if call.operation in ("create_log_group", "allocate_address") and phase == "before":
            both.wait(_DEADLINE_S)
            raise refusal("AccessDenied", f"not {call.operation}")
        return False

    account.stop = refuse
    with pytest.raises(CloudError) as caught:
        account.up()
    assert "not create_log_group" in str(caught.value)
    assert "not allocate_address" in str(caught.value)


def test_an_interrupt_waits_for_the_calls_under_way_and_can_be_repeated(account: Account) -> None:
    interrupted = threading.Event()

    def interrupt(call: Call, phase: Phase) -> bool:
        if call.operation == "create_role" and phase == "before" and not interrupted.is_set():
            interrupted.set()
            _thread.interrupt_main()
        return False

    account.stop = interrupt
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        account.up()
    assert threading.active_count() == before
    assert account.things() != WHOLE, "nothing was begun after it"
    account.up()
    assert account.things() == WHOLE


def test_a_journal_keeps_whole_lines_from_any_thread(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", lambda: 0.0)

    def write(number: int) -> None:
        with journal.around("create", Key("role", str(number)), note="x" * 5000) as entry:
            entry["id"] = str(number)

    with journal, ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
        assert len(journal.standing) == 40
        assert journal.unfinished == []
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 80


def drawn(things: Things) -> str:
    file = io.StringIO()
    Console(file=file, width=100, force_terminal=False).print(things)
    return file.getvalue()


def test_the_table_has_state_and_seconds_of_each_thing() -> None:
    now = [100.0]
    things = Things(lambda: now[0])
    things.turn(Turn(Key("role", "worker"), "create", 1.0))
    things.turn(Turn(Key("group", "cluster1"), "waits"))
    things.turn(Turn(Key("role", "balancer"), "there", 2.0))
    things.turn(Turn(Key("log group", "logs"), "kept"))
    now[0] = 105.0
    rows = [" ".join(line.split()) for line in drawn(things).splitlines()]
    assert rows == ["role worker create 6 s", "group cluster1 waits", "role balancer there 2 s"]


def test_lines_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with shown(Console(file=file, force_terminal=False)) as (line, turn):
        line("create role worker: [x]")
        turn(Turn(Key("role", "worker"), "create"))
    assert file.getvalue() == "create role worker: [x]\n"


def test_a_table_on_a_terminal() -> None:
    file = io.StringIO()
    with shown(Console(file=file, width=80, force_terminal=True)) as (line, turn):
        line("create role worker: x")
        line("in service: cluster1 0 of 1")
        turn(Turn(Key("role", "worker"), "there", 3.0))
    text = file.getvalue()
    assert "in service: cluster1 0 of 1" in text
    assert "create role worker" not in text
    assert "there" in text
