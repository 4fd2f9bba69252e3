"""What tests of ports need: a web server that misbehaves, a target of stubs, queues and buckets, and stacks of them."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdfast.errors import Inconclusive
from holdfast.history.recorder import Recorder
from holdfast.ports import Ports
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.generate import Submission
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets.base import Capability, PeekedMessage, Support

ACCOUNT = "123456789012"
REGION = "eu-west-1"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@dataclass(frozen=True)
class Received:
    """A request as the server received it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: tuple[str, int]


@dataclass
class Web:
    """A server on loopback; ``behaviour`` answers each request."""

    url: str
    received: list[Received] = field(default_factory=list)
    behaviour: Callable[[BaseHTTPRequestHandler], None] = field(default=lambda handler: answer(handler, 200, b"{}"))


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str = "application/json") -> None:
    """Answer whole."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def answers(status: int, body: Any = None, kind: str = "application/json") -> Callable[[BaseHTTPRequestHandler], None]:
    """A behaviour: always this answer; bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return lambda handler: answer(handler, status, data, kind)


def cut(handler: BaseHTTPRequestHandler) -> None:
    """A behaviour: reset the connection instead of answering."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


def half(handler: BaseHTTPRequestHandler) -> None:
    """A behaviour: promise a hundred bytes, send ten, close."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"half": 1')
    handler.close_connection = True


def garbage(handler: BaseHTTPRequestHandler) -> None:
    """A behaviour: something that is no HTTP."""
    handler.wfile.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")
    handler.close_connection = True


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """A web server for the time of a test."""
    web = Web("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            web.received.append(Received(self.command, self.path, headers, body, self.client_address))
            try:
                web.behaviour(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the names http.server asks for

        def log_message(self, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

        def finish_request(self, request: Any, client_address: Any) -> None:
            # The handshake belongs into the connection's own thread.
            with tls.wrap_socket(request, server_side=True) if tls else nullcontext(request) as connection:
                super().finish_request(connection, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        web.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1, and a server context that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class StubTarget:
    """A target whose clients are stubs; it cannot peek unless it is given messages."""

    kind = "aws"
    account = ACCOUNT
    region = REGION
    endpoint_url: str | None = None
    interceptor = interceptor_url = None

    def __init__(self, clients: Mapping[str, Any] = MappingProxyType({}), messages: Any = None) -> None:
        self.clients = clients
        self.messages = messages

    def client(self, service: str) -> Any:
        return self.clients[service]

    def credentials(self) -> tuple[str, str, str | None]:
        return "AKIDEXAMPLE0000", SECRET, None

    def api_url(self, api_id: str, stage: str) -> str:
        return f"http://127.0.0.1/{api_id}/{stage}"

    def function_url(self, url: str) -> tuple[str, Mapping[str, str]]:
        return url, {}

    def supports(self, capability: Capability) -> Support:
        return Support(supported=False, reason="a stub")

    def peek_messages(self, queue_url: str) -> tuple[PeekedMessage, ...]:
        if self.messages is None:
            raise Inconclusive("a stub cannot peek")
        return self.messages(queue_url)

    def close(self) -> None:
        pass


class Stub:
    """A client whose operations are given; their calls are kept."""

    def __init__(self, **operations: Any) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._operations = operations

    def __getattr__(self, name: str) -> Any:
        try:
            operation = self.__dict__["_operations"][name]
        except KeyError:
            raise AttributeError(name) from None

        def call(**request: Any) -> Any:
            self.calls.append((name, request))
            result = operation(**request) if callable(operation) else operation
            if isinstance(result, Exception):
                raise result
            return result

        return call


def client_error(code: str, status: int, operation: str = "Operation", message: str = "said so") -> Exception:
    """What botocore raises for an error answer."""
    from botocore.exceptions import ClientError

    metadata = {"HTTPStatusCode": status, "HTTPHeaders": {}, "RequestId": "r", "HostId": "h", "RetryAttempts": 0}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation)


def resource(component: str, kind: str, **attributes: str) -> Resource:
    """A resolved component."""
    return Resource(component=component, type=kind, name=attributes.pop("name", component), **attributes)


def stack_of(
    target: Any,
    *resources: Resource,
    path: Path = Path("orders.stack.toml"),
    commands: Mapping[str, Any] | None = None,
    **parts: Any,
) -> Stack:
    """A stack of these parts of a descriptor."""
    descriptor = Descriptor.model_validate(
        {
            "name": "orders",
            "components": {one.component: {"type": one.type, "name": one.name} for one in resources},
            "commands": commands or {"place": {"calls": [{"kind": "http", "url": "http://127.0.0.1:9/"}]}},
            "patterns": {"storage-first": {"command": next(iter(commands or ["place"])), "effect": "done"}},
            **parts,
        }
    )
    return Stack(descriptor, path, target, {one.component: one for one in resources})


def http_ports(web_url: str, call: Mapping[str, Any] = MappingProxyType({}), **command: Any) -> Ports:
    """Ports with one HTTP command called ``place``."""
    calls = [{"kind": "http", "url": f"{web_url}/orders", "json": {"id": "{key}"}, **call}]
    return Ports(stack_of(StubTarget(), commands={"place": {"calls": calls, **command}}), Recorder())


def submission(key: str = "k-1", value: str = "v-1", **fields: Any) -> Submission:
    """A submission."""
    return Submission(key, value, fields)


def fresh(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def new_queue(target: Any, component: str = "queue", **attributes: str) -> Resource:
    """A new queue."""
    name = fresh(component) + (".fifo" if attributes.get("FifoQueue") else "")
    sqs = target.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return resource(component, "queue", name=name, url=url, arn=arn)


def new_ledger(target: Any) -> Resource:
    """A new table with the key ``pk`` and ``sk``, and an index by ``by``."""
    name = fresh("ledger")
    target.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in ("pk", "sk", "by")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-value",
                "KeySchema": [{"AttributeName": "by", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    arn = f"arn:aws:dynamodb:{target.region}:{target.account}:table/{name}"
    return resource("ledger", "table", name=name, arn=arn)


def new_bucket(target: Any) -> Resource:
    """A new bucket."""
    name = fresh("bucket")
    target.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": target.region})
    return resource("bucket", "bucket", name=name, arn=f"arn:aws:s3:::{name}")


def ports_of(target: Any, call: dict[str, Any], *resources: Resource, **parts: Any) -> Ports:
    """Ports with one command of one call."""
    return Ports(stack_of(target, *resources, commands={"place": {"calls": [call]}}, **parts), Recorder())


def messages(target: Any, where: Resource) -> list[dict[str, Any]]:
    """What is on a queue, received."""
    answer = target.client("sqs").receive_message(
        QueueUrl=where.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
    )
    return list(answer.get("Messages", ()))
