"""What can happen to an account, one story each: it leaves the same on every stack that is correct.

Each is played on an account of its own, and is true when what is left is what must be left.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from accounts_stack import STATE, Accounts, folded, met

CALLS_OF_A_COMMAND = 4
CROWD = 12
AT_MOST_SECONDS = 15.0
"""So long a story waits for what may never come."""

Scenario = Callable[[Accounts, str], Any]


def converged(stack: Accounts, account: str) -> bool:
    """Whether the query API comes to see the whole log, and then shows its fold."""
    events = stack.events(account)
    return stack.sees(account, len(events), AT_MOST_SECONDS) and stack.shown(account) == folded(events)


def killed_at_every_call(stack: Accounts, account: str) -> Any:
    """The command's function dies after each of its calls in turn; the client tries again."""
    ids = [f"{account}-{nth}" for nth in range(1, CALLS_OF_A_COMMAND + 1)]
    for nth, command_id in enumerate(ids, start=1):
        stack.aim(command_id, nth, at="CommandFunction", action="kill", point="call", when="after", nth=nth, times=1)
        stack.accepted(account, command_id)
    return stack.commands(account) == list(enumerate(ids, start=1))


def refused_by_the_table(stack: Accounts, account: str) -> Any:
    """The log cannot be written; what is accepted all the same is in it."""
    fault: Any = {"at": "CommandFunction", "action": "refuse", "point": "call", "service": "dynamodb"}
    stack.aim(f"{account}-0", 0, operation="TransactWriteItems", error="AccessDeniedException", **fault)
    return stack.send(account, f"{account}-0").ok == bool(stack.commands(account))


def a_crowd(stack: Accounts, account: str) -> Any:
    """Many clients write to one account at once, each is accepted, and each has its event."""
    ids = {f"{account}-{number}" for number in range(CROWD)}
    with ThreadPoolExecutor(CROWD) as pool:
        answers = list(pool.map(lambda command_id: stack.send(account, command_id), sorted(ids)))
    accepted = {command_id for command_id, answer in zip(sorted(ids), answers, strict=True) if answer.ok}
    return accepted and {command_id for _, command_id in stack.commands(account)} == accepted


def every_tag(stack: Accounts, account: str) -> Any:
    """Deposits of every tag are shown."""
    for tag in ("salary", "rent", "food", "travel"):
        stack.accepted(account, f"{account}-{tag}", tag=tag)
    return converged(stack, account)


def delivered_again(stack: Accounts, account: str) -> Any:
    """What was projected is delivered again, backwards."""
    for number in range(3):
        stack.accepted(account, f"{account}-{number}")
    assert stack.shown(account, 3)
    stack.deliver(stack.events(account)[::-1])
    return converged(stack, account)


def delivered_out_of_order(stack: Accounts, account: str) -> Any:
    """The projector gets the events of an account in another order than theirs."""
    with stack.detached():
        for number in range(3):
            stack.accepted(account, f"{account}-{number}")
        first, second, third = stack.events(account)
        stack.deliver([third, first, second])
        shown = stack.shown(account) == folded([first, second, third])
    return shown and converged(stack, account)


def delivered_after_the_end(stack: Accounts, account: str) -> Any:
    """An event of an account that is closed is delivered again."""
    stack.accepted(account, f"{account}-0")
    assert stack.shown(account, 1)
    stack.accepted(account, f"{account}-1", kind="closures")
    assert met(lambda: stack.shown(account) is None, bool)
    stack.deliver(stack.events(account)[:1])
    return converged(stack, account)


def projector_killed_at_every_call(stack: Accounts, account: str) -> Any:
    """The projector dies after each of its calls in turn and is given the event again."""
    for nth in (1, 2, 3):
        stack.aim(
            f"{account}-{nth}", nth, at="ProjectorFunction", action="kill", point="call", when="after", nth=nth, times=1
        )
        stack.accepted(account, f"{account}-{nth}")
    return converged(stack, account)


def rebuilt(stack: Accounts, account: str) -> Any:
    """The read model is built anew and shows the same."""
    stack.accepted(account, f"{account}-0")
    stack.accepted(account, f"{account}-1", kind="withdrawals", amount=3, tag="rent")
    shown = stack.shown(account, 2)
    stack.rebuilt(f"again-{account}")
    return stack.rebuilt_row(f"again-{account}", account) == shown


def read_side_down(stack: Accounts, account: str) -> Any:
    """Nobody may use the read table; commands are accepted."""
    with stack.denied("BalancesTable", "CommandFunction", "ProjectorFunction", "QueryFunction"):
        status = stack.send(account, f"{account}-0").status_code
    return status == 201 and converged(stack, account)


def write_side_down(stack: Accounts, account: str) -> Any:
    """Nobody may write or read the log; what was projected is served."""
    stack.accepted(account, f"{account}-0")
    assert stack.shown(account, 1)
    for number, function in enumerate(("CommandFunction", "QueryFunction")):
        stack.aim(
            account,
            number,
            at=function,
            action="refuse",
            point="call",
            error="AccessDeniedException",
            resource=stack.ids["EventsTable"],
        )
    return stack.send(account, f"{account}-1").status_code == 503 and stack.answers(account) == 200


def poisoned(stack: Accounts, account: str) -> Any:
    """An event cannot be projected: it is kept whole, and what comes after it is shown."""
    stack.accepted(account, f"{account}-0", tag="gambling")
    for number in range(1, 4):
        stack.accepted(f"{account}-next", f"{account}-{number}")
    shown = converged(stack, f"{account}-next")
    kept = [one for one in stack.letters() if one.get("event", {}).get("account_id") == account]
    return shown and [one["event"]["command_id"] for one in kept] == [f"{account}-0"]


def read_over_and_over(stack: Accounts, account: str) -> Any:
    """Who asks for the version that was written last is never shown an older one."""
    asked, shown = [], []
    for number in range(5):
        version = stack.accepted(account, f"{account}-{number}")
        asked += [version] * 4
        shown += [stack.version(account, version) for _ in range(4)]
    return shown == asked


def read_before_it_is_projected(stack: Accounts, account: str) -> Any:
    """Who asks for a version that is not projected yet is not told an older state."""
    with stack.detached():
        version = stack.accepted(account, f"{account}-0")
        early = stack.answers(account, version)
    return early == 503 and converged(stack, account)


def snapshot_between(stack: Accounts, account: str) -> Any:
    """A snapshot, the tail after it, and one that dies after each of its calls."""
    for number in range(4):
        stack.accepted(account, f"{account}-{number}")
        if number:
            stack.aim(
                f"{account}-snap-{number}",
                number,
                at="SnapshotFunction",
                action="kill",
                point="call",
                when="after",
                nth=number + 1,
                times=1,
            )
        stack.snapshot(account, f"{account}-snap-{number}")
    state = stack.state(f"states/{account}")
    return state is not None and {name: state[name] for name in STATE} == folded(stack.events(account))


def withdrawn_too_much(stack: Accounts, account: str) -> Any:
    """A withdrawal that is refused leaves nothing."""
    stack.accepted(account, f"{account}-0", amount=5)
    refused = stack.send(account, f"{account}-1", kind="withdrawals", amount=6)
    return refused.status_code == 409 and stack.commands(account) == [(1, f"{account}-0")]


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__.replace("_", "-"): scenario
    for scenario in (
        killed_at_every_call,
        refused_by_the_table,
        a_crowd,
        every_tag,
        delivered_again,
        delivered_out_of_order,
        delivered_after_the_end,
        projector_killed_at_every_call,
        rebuilt,
        read_side_down,
        write_side_down,
        poisoned,
        read_over_and_over,
        read_before_it_is_projected,
        snapshot_between,
        withdrawn_too_much,
    )
}
