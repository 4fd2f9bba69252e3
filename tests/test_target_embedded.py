"""The embedded target starts, stands alone, and leaves nothing behind."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import psutil
import pytest
import urllib3
from botocore.exceptions import ClientError

from holdfast.errors import TargetError
from holdfast.targets import embedded
from holdfast.targets.base import Rule
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.emulator.known import require, substitute
from holdfast.targets.probes.bench import bench, wait_for
from holdfast.waiting import eventually


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _group(pid: int) -> list[int]:
    """The processes of a process group that live."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == pid and _alive(process.pid):
                found.append(process.pid)
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    return found


def test_a_deleted_stack_takes_its_processes_along(embedded: EmbeddedTarget) -> None:
    """The processes of functions end with the CloudFormation stack that made them: many stacks in a row leave none."""
    with bench(embedded) as on:
        template = {
            "Resources": {
                "Function": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {
                        "Code": {"ZipFile": "import os\n\ndef handler(event, context):\n    return os.getpid()\n"},
                        "Handler": "index.handler",
                        "Runtime": "python3.12",
                        "Role": on.role()[1],
                    },
                }
            }
        }
        cloudformation, stack = embedded.client("cloudformation"), on.name()
        cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(template))
        function = eventually(
            lambda: cloudformation.describe_stack_resources(StackName=stack)["StackResources"],
            lambda found: bool(found) and found[0]["ResourceStatus"] == "CREATE_COMPLETE",
            deadline_seconds=30,
        ).value[0]["PhysicalResourceId"]
        pid = json.loads(embedded.client("lambda").invoke(FunctionName=function)["Payload"].read())
        assert _alive(pid)
        cloudformation.delete_stack(StackName=stack)
        assert eventually(lambda: _alive(pid), lambda alive: not alive, deadline_seconds=30).met


def test_a_deleted_stack_takes_its_executions_along(embedded: EmbeddedTarget) -> None:
    """An execution that would run for an hour ends with its CloudFormation stack, so that silence can come again."""
    with bench(embedded) as on:
        definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}}
        machine = {"DefinitionString": json.dumps(definition), "RoleArn": on.role()[1]}
        template = {"Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine}}}
        cloudformation, stack = embedded.client("cloudformation"), on.name()
        cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(template))
        arn = eventually(
            lambda: cloudformation.describe_stack_resources(StackName=stack)["StackResources"],
            lambda found: bool(found) and found[0]["ResourceStatus"] == "CREATE_COMPLETE",
            deadline_seconds=30,
        ).value[0]["PhysicalResourceId"]
        embedded.client("stepfunctions").start_execution(stateMachineArn=arn, input='{"key": "waits-an-hour"}')

        def running() -> int:
            return sum(not one.ended_seconds for one in embedded.interceptor.invocations(key="waits-an-hour"))

        assert eventually(running, lambda count: count == 1, deadline_seconds=30).met
        cloudformation.delete_stack(StackName=stack)
        assert eventually(running, lambda count: count == 0, deadline_seconds=30).met


def test_two_targets_side_by_side_share_nothing() -> None:
    """Two emulators started at the same moment have their own ports and their own state."""
    with ThreadPoolExecutor() as pool:
        one, two = pool.map(lambda _: EmbeddedTarget.start(), range(2))
    with one, two:
        assert one.endpoint_url != two.endpoint_url
        one.client("sqs").create_queue(QueueName="only-here")
        assert two.client("sqs").list_queues().get("QueueUrls", []) == []
        assert one.interceptor is not None
        assert two.interceptor is not None
        one.interceptor.add(Rule(id="only-here", action="fail"))
        assert [rule.id for rule in one.interceptor.rules()] == ["only-here"]
        assert two.interceptor.rules() == ()


def test_nothing_is_left_after_close() -> None:
    """Closing ends the emulator and its functions and removes what they wrote."""
    with EmbeddedTarget.start() as target, bench(target) as on:
        on.invoke(on.function(), {})
        pid, directory, members = target.process_id, target.directory, _group(target.process_id)
        assert len(members) >= 2, "a function's process was expected beside the emulator"
        target.close()
        assert not _alive(pid)
        wait_for(lambda: not _group(pid), "processes are left")
        assert not directory.exists()


def test_it_dies_with_a_killed_parent() -> None:
    """When the parent is killed, the emulator, a function in mid-invocation and the directory are gone."""
    script = textwrap.dedent(
        """
        import threading
        from holdfast.targets.embedded import EmbeddedTarget
        from holdfast.targets.probes.bench import bench, wait_for

        target = EmbeddedTarget.start()
        with bench(target) as on:
            function = on.function(timeout_seconds=600)
            on.invoke(function, {})
            threading.Thread(target=on.invoke, args=(function, {"sleep": 500}), daemon=True).start()
            running = lambda: any(not one.ended_seconds for one in target.interceptor.invocations(function))
            wait_for(running, "no invocation")
            print(target.process_id, target.directory, flush=True)
            threading.Event().wait()
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid_text, _, directory_text = parent.stdout.readline().strip().partition(" ")
        pid, directory = int(pid_text), Path(directory_text)
        assert directory.is_dir()
        assert len(_group(pid)) >= 2
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not _group(pid), "processes are left")
    wait_for(lambda: not directory.exists(), "the directory is left")


def test_the_guard_cleans_after_a_killed_emulator() -> None:
    """When the emulator itself is killed, its functions and its directory are gone though the parent lives."""
    with EmbeddedTarget.start() as target:
        os.kill(target.process_id, signal.SIGKILL)
        wait_for(lambda: not target.directory.exists(), "the directory is left")
        with pytest.raises(TargetError, match="does not answer"):
            target.peek_messages("http://127.0.0.1/123456789012/queue")


def test_it_listens_on_loopback_only() -> None:
    """No address but 127.0.0.1 is listened on."""
    with EmbeddedTarget.start() as target:
        connections = psutil.Process(target.process_id).net_connections()
        listening = [one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN]
        assert listening == ["127.0.0.1"]


def test_the_users_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A foreign profile, endpoint or proxy in the environment neither breaks nor reaches the target."""
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("SECRET_OF_MINE", "secret")
    with EmbeddedTarget.start() as target, bench(target) as on:
        assert on.queue().url
        _, seen = on.invoke(on.function(), {"environment": True})
        assert "SECRET_OF_MINE" not in seen
        assert "AWS_PROFILE" not in seen


def test_without_auth_nothing_is_denied() -> None:
    """With ``auth=False`` a role without rights may do everything."""
    with EmbeddedTarget.start(auth=False) as target, bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table)
        role = target.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"].rpartition("/")[2]
        target.client("iam").delete_role_policy(RoleName=role, PolicyName="probe")
        on.invoke(function, {"put": "key"})
        assert on.puts(table, "key") == 1


def test_a_function_is_its_role() -> None:
    """With IAM enforced a function may do only what its role allows, and root everything."""
    with EmbeddedTarget.start() as target, bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table)
        role = target.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"].rpartition("/")[2]
        target.client("iam").delete_role_policy(RoleName=role, PolicyName="probe")
        kind, error = on.invoke(function, {"put": "key"})
        assert kind
        assert "AccessDenied" in error["errorMessage"]
        assert target.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{target.account}:root"


def test_clients_are_made_once_and_from_any_thread() -> None:
    """Threads that ask at the same moment get the same client."""
    with EmbeddedTarget.start() as target:
        start = threading.Barrier(8)

        def ask(_: int) -> int:
            start.wait()
            return id(target.client("dynamodb"))

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(ask, range(8)))) == 1
        config = target.client("dynamodb").meta.config
        assert config.retries["total_max_attempts"] == 1
        assert (config.connect_timeout, config.read_timeout) == (3, 30)


def test_s3_presigned_upload() -> None:
    """A presigned URL of a client is path-style on the endpoint and accepts an upload."""
    with EmbeddedTarget.start() as target:
        s3 = target.client("s3")
        s3.create_bucket(Bucket="uploads", CreateBucketConfiguration={"LocationConstraint": target.region})
        url = s3.generate_presigned_url("put_object", Params={"Bucket": "uploads", "Key": "a/b.json"})
        assert url.startswith(f"{target.endpoint_url}/uploads/a/b.json")
        answer = urllib3.request("PUT", url, body=b"content", retries=False, timeout=10)
        assert answer.status == 200, answer.data
        assert s3.get_object(Bucket="uploads", Key="a/b.json")["Body"].read() == b"content"


NODE = """
exports.handler = async (event, context) => {
  if (event.log) console.log(event.log);
  if (event.raise) { const error = new TypeError(event.raise); throw error; }
  if (event.exit) process.exit(event.exit);
  return { pid: process.pid, request: context.awsRequestId };
};
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on the PATH to run Node.js functions")
def test_a_node_function_fails_as_on_aws() -> None:
    """A Node.js function keeps its environment after an error, dies as Runtime.ExitError, and its log is complete."""
    with EmbeddedTarget.start() as target, bench(target) as on:
        functions = target.client("lambda")
        name = on.name()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("index.js", NODE)
        functions.create_function(
            FunctionName=name,
            Runtime="nodejs22.x",
            Role=on.role()[1],
            Handler="index.handler",
            Code={"ZipFile": packed.getvalue()},
            Timeout=10,
        )
        first = on.invoke(name, {})[1]
        kind, error = on.invoke(name, {"raise": "boom"})
        assert (kind, error["errorType"], error["errorMessage"]) == ("Unhandled", "TypeError", "boom")
        assert on.invoke(name, {})[1]["pid"] == first["pid"]
        answer = functions.invoke(FunctionName=name, Payload=b'{"log": "here"}', LogType="Tail")
        assert base64.b64decode(answer["LogResult"]).decode().strip() == "here"
        _, error = on.invoke(name, {"exit": 3})
        assert error["errorType"] == "Runtime.ExitError"
        assert "exit status 3" in error["errorMessage"]


def test_a_missing_extra_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the emulator's package the error says what to install."""

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(TargetError, match="not installed") as caught:
        EmbeddedTarget.start()
    assert "pip install '.[embedded]'" in caught.value.remedy


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patches are put on no other version than the one they know."""
    monkeypatch.setattr(metadata, "version", lambda name: "9.9.9")
    with pytest.raises(TargetError, match=r"needs MiniStack 1\.5\.33, found 9\.9\.9"):
        EmbeddedTarget.start()


def test_a_start_that_fails_is_explained_and_cleaned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A child that dies at once gives an error with its log, and no directory stays."""
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: str(_made(tmp_path / "target")))
    monkeypatch.setattr(
        embedded, "_environment", lambda *_, **__: {"PYTHONPATH": str(tmp_path / "nowhere"), "PYTHONHOME": "/"}
    )
    with pytest.raises(TargetError, match="did not start") as caught:
        EmbeddedTarget.start(startup_seconds=10)
    assert caught.value.cause
    assert not (tmp_path / "target").exists()


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_start_that_takes_too_long_is_cleaned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A child that is not ready in time is ended and its directory removed."""
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: str(_made(tmp_path / "target")))
    with pytest.raises(TargetError, match=r"within 0\.001 s"):
        EmbeddedTarget.start(startup_seconds=0.001)
    assert not (tmp_path / "target").exists()


def test_unknown_emulator_code_is_not_patched() -> None:
    """A patch refuses a function or a script that it does not know."""
    with pytest.raises(TargetError, match="is not the code"):
        require(_made, "000000000000", "some function")
    with pytest.raises(TargetError, match="is not the script"):
        substitute("a b a", (("a", "c"),), "some script")


def test_errors_reach_the_caller_as_aws_errors() -> None:
    """A refused call of the harness itself is an ordinary ClientError."""
    with EmbeddedTarget.start() as target, pytest.raises(ClientError) as caught:
        target.client("sqs").get_queue_url(QueueName="missing")
    assert "NonExistentQueue" in caught.value.response["Error"]["Code"]
