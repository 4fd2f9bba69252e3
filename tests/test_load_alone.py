"""`ContractUser` in a locustfile that ``locust`` itself runs: recorded in a run's folder, on a deployed stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from holdfast.runs import read_history, read_run, runs_of
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import EmbeddedTarget

ROOT = Path(__file__).resolve().parent.parent
WEBHOOKS = ROOT / "fixtures" / "holdfast_fixtures" / "storage_first" / "webhooks"
LOCUSTFILE = """
from locust import constant_pacing, task
from holdfast.targets import localstack
from holdfast_load import ContractUser

localstack.ACCOUNT = "123456789012"  # of the emulator that plays LocalStack

class Shopper(ContractUser):
    stack = "orders.stack.toml"
    target = {target!r}
    wait_time = constant_pacing(0.1)
    placed = 0

    @task
    def place(self):
        self.submit("place_order")
        Shopper.placed += 1
        if Shopper.placed == {orders}:
            self.environment.runner.quit()
"""
USERS, ORDERS = 2, 25


def locust(folder: Path, target: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Locust as somebody would, until its users have placed their orders."""
    (folder / "shop.py").write_text(LOCUSTFILE.format(target=target, orders=ORDERS))
    options = ["--headless", "-u", str(USERS), "-r", str(USERS), "-t", "100s", "--loglevel", "WARNING", "--json"]
    return subprocess.run(
        [Path(sys.executable).with_name("locust"), "-f", "shop.py", *options],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_locust_alone_records_what_its_users_submit(tmp_path: Path) -> None:
    """Every operation of the users is in the history of a run's folder, whole, and Locust counts what was answered."""
    text = (WEBHOOKS / "webhooks.stack.toml").read_text()
    before, _, rest = text.partition("[deploy]")
    (tmp_path / "orders.stack.toml").write_text(
        f'{before}cloudformation = "alone"\n{rest[rest.index("[components]") :]}'
    )
    template = WEBHOOKS / "template.yaml"
    with EmbeddedTarget.start() as target, deploy(target, template, stack_name="alone", parameters={}):
        ended = locust(
            tmp_path, "localstack", LOCALSTACK_ENDPOINT=str(target.endpoint_url), AWS_REGION=str(target.region)
        )
    assert ended.returncode == 0, ended.stderr
    (folder,) = runs_of(tmp_path / ".holdfast", "webhook-orders")
    run, columns = read_run(folder), read_history(folder)
    assert (run.kind, run.target, run.seconds is not None) == ("load", "localstack", True)
    assert columns is not None
    assert columns.complete, columns.notes
    assert columns.kinds == ("place_order",)
    outcomes = columns.outcome.tolist()
    assert set(outcomes) <= {0, 2}
    assert outcomes.count(2) <= USERS, "only what was in flight when the run ended may be unknown"
    assert len({columns.sessions.label(code) for code in columns.session}) == 2
    (counted,) = json.loads(ended.stdout[: ended.stdout.rindex("]") + 1])
    assert ORDERS <= outcomes.count(0) <= counted["num_requests"] <= len(columns)


def test_the_embedded_target_cannot_be_attached_to(tmp_path: Path) -> None:
    """It ends with the command that started it, so Locust alone says what to do instead, and fails."""
    (tmp_path / "orders.stack.toml").write_text((WEBHOOKS / "webhooks.stack.toml").read_text())
    ended = locust(tmp_path, "")
    assert ended.returncode == 2, ended.stdout
    assert "holdfast load orders.stack.toml --locustfile FILE" in ended.stderr
    assert "Traceback" not in ended.stderr
