"""Editing policy documents: what is added can be told and taken out again, and nothing else is touched."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.levers import policies
from holdfast.levers.policies import Caller

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/path/worker"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"


def denial(sid: str = "HoldfastA", *, minutes: float = 1.0) -> dict[str, Any]:
    ends = NOW + timedelta(minutes=minutes)
    principals = ("sns.amazonaws.com", ROLE)
    return policies.denial(sid, principals=principals, actions=("sqs:SendMessage",), resources=(QUEUE,), ends=ends)


def theirs(sid: str | None) -> dict[str, Any]:
    named = {} if sid is None else {"Sid": sid}
    return {**named, "Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": QUEUE}


STATEMENTS = st.lists(
    st.sampled_from([theirs("One"), theirs("Two"), theirs(None), denial("HoldfastOther")]), max_size=4
)
DOCUMENTS = st.one_of(
    st.just(""),
    STATEMENTS.filter(bool).map(lambda found: json.dumps({"Version": "2012-10-17", "Id": "x", "Statement": found})),
    st.sampled_from([theirs("Alone")]).map(lambda found: json.dumps({"Version": "2008-10-17", "Statement": found})),
)


def test_a_denial_names_its_principals_and_its_end() -> None:
    """Roles and services go where AWS wants them, and the end is a condition in UTC."""
    assert denial() == {
        "Sid": "HoldfastA",
        "Effect": "Deny",
        "Principal": {"AWS": [ROLE], "Service": ["sns.amazonaws.com"]},
        "Action": ["sqs:SendMessage"],
        "Resource": [QUEUE],
        "Condition": {"DateLessThan": {"aws:CurrentTime": "2026-05-01T12:01:00Z"}},
    }


@pytest.mark.parametrize(
    ("arn", "condition"),
    [
        ("arn:aws:sts::123456789012:assumed-role/ci/me", {"StringEquals": {"aws:userid": "AROA:me"}}),
        ("arn:aws:iam::123456789012:user/me", {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/me"}}),
        ("arn:aws:iam::123456789012:root", {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:root"}}),
    ],
)
def test_a_canary_is_for_one_caller_alone(arn: str, condition: dict[str, dict[str, str]]) -> None:
    """A session is told by its unique id, so other sessions of its role are not denied; others by their ARN."""
    caller = Caller(arn=arn, user_id="AROA:me")
    found = policies.denial_of(caller, "HoldfastACanary", action="sqs:DeleteMessage", resource=QUEUE, ends=NOW)
    assert found["Principal"] == "*"
    assert {key: found["Condition"][key] for key in condition} == condition
    assert len(found["Condition"]) == 2


def test_a_caller_knows_the_role_it_plays() -> None:
    """A session plays the role of its name, whatever the role's path; the root user plays none."""
    session = Caller(arn="arn:aws:sts::123456789012:assumed-role/worker/me", user_id="x")
    assert session.plays(ROLE)
    assert not session.plays("arn:aws:iam::123456789012:role/another-worker")
    root = Caller(arn="arn:aws:iam::123456789012:root", user_id="x")
    assert (root.is_root, session.is_root, root.plays(ROLE)) == (True, False, False)


@given(DOCUMENTS)
def test_what_is_added_is_there_and_can_be_taken_out_again(document: str) -> None:
    """Adding and removing our statements leaves every document as it was, whoever else's statements it holds."""
    ours = [denial("HoldfastA"), denial("HoldfastACanary")]
    with_ours = policies.added(document, ours)
    assert policies.own(with_ours, "HoldfastA") == tuple(ours)
    assert policies.own(document, "HoldfastA") == ()
    assert policies.added(with_ours, ours) == with_ours
    assert policies.same(policies.removed(with_ours, "HoldfastA"), document)
    assert policies.removed(document, "HoldfastA") == document


@given(DOCUMENTS)
def test_nothing_but_the_statements_is_changed(document: str) -> None:
    """Version and Id stay, and so does the order of the others."""
    found = json.loads(policies.added(document, [denial()]))
    assert tuple(found["Statement"][:-1]) == policies.statements(document)
    for member in ("Version", "Id"):
        assert found.get(member) == json.loads(document or '{"Version": "2012-10-17"}').get(member)


def test_a_document_that_held_ours_alone_is_gone() -> None:
    """Nothing is left of a policy that was made for our statements."""
    assert policies.removed(policies.added("", [denial()]), "HoldfastA") == ""
    assert policies.removed("", "HoldfastA") == ""


def test_a_statement_that_has_ended_is_no_longer_in_force() -> None:
    """The end counts, also where AWS returns it in a list; a statement without an end is in force."""
    listed = denial("HoldfastC")
    listed["Condition"] = {"DateLessThan": {"aws:CurrentTime": ["2026-05-01T11:59:00Z"]}}
    endless = {**denial("HoldfastD"), "Condition": {}}
    document = policies.added("", [denial("HoldfastA"), denial("HoldfastB", minutes=-1), listed, endless])
    assert [each["Sid"] for each in policies.in_force(document, "Holdfast", NOW)] == ["HoldfastA", "HoldfastD"]


def test_documents_are_compared_by_what_they_say() -> None:
    """White space, the order of members and a list around one statement make no difference; statements do."""
    one = json.dumps({"Statement": theirs("One"), "Version": "2012-10-17"}, indent=2)
    listed = json.dumps({"Version": "2012-10-17", "Statement": [theirs("One")]})
    assert policies.same(one, listed)
    assert policies.same("", "")
    assert not policies.same(one, "")
    assert not policies.same(one, policies.added(one, [theirs("Two")]))
