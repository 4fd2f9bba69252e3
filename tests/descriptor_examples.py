# ruff: noqa: E501 - TOML 1.0 keeps an inline table on one line
"""Descriptors of very different stacks, none with Python; each is a whole `NAME.stack.toml`."""

from __future__ import annotations

from pathlib import Path

from holdfast.stack.descriptor import Descriptor
from holdfast.stack.loading import load_descriptor

ENVIRON = {"API_KEY": "k-3f9a71c2e0", "AWS_ACCOUNT": "123456789012"}

ORDERS = """
name = "webhook-orders"
[deploy]
template = "template.yaml"
[components]
api = { type = "api", logical_id = "Api", stage = "live" }
queue = { type = "queue", logical_id = "OrdersQueue" }
dlq = { type = "queue", logical_id = "OrdersDlq" }
worker = { type = "function", logical_id = "WorkerFunction" }
ledger = { type = "table", logical_id = "LedgerTable" }
gateway_role = { type = "role", logical_id = "GatewayRole" }
[commands.place_order]
calls = [{ kind = "http", api = "api", path = "/orders", json = { order_id = "{key}", note = "{value}", amount = "{amount}" } }]
fields.amount = { type = "money" }
idempotency = { in = "body", name = "order_id" }
[effects.fulfilled]
sources = [{ kind = "dynamodb-query", table = "ledger", partition = { pk = "{key}" }, value = "note", body = "body" }]
[dead_letters.dlq]
queue = "dlq"
key = "json.order_id"
original = "body"
[patterns.storage-first]
command = "place_order"
effect = "fulfilled"
workers = ["worker"]
store = "queue"
storage_roles = ["gateway_role"]
dead_letters = "dlq"
[bounds]
effect_seconds = 30
[[impossible]]
fields = { amount = "-1.00" }
[waive]
"SF-7" = "no ordering promised"
"""

API_KEY_HTTP_API = """
name = "tickets"
cloudformation = "tickets-prod"
[target]
default = "aws"
aws = { account = "${AWS_ACCOUNT}", region = "eu-central-1", profile = "${AWS_PROFILE:-chaos}" }
[components]
api = { type = "api", name = "https://tickets.example.com/v2" }
tickets = { type = "table", output = "TicketsTable" }
[commands.open]
calls = { kind = "http", method = "PUT", api = "api", path = "/tickets/{key|urlencode}", query = { dry_run = "{dry}" }, headers = { "X-Api-Key" = "${API_KEY}", "Idempotency-Key" = "{key}" }, json = { title = "{value}", priority = "{priority}", tags = ["{priority}", "p{priority}"] } }
fields.priority = { type = "integer", min = 1, max = 5 }
fields.dry = { type = "enum", values = ["no"] }
acknowledgement = { acknowledged = "status == `202` && json.accepted", refused = [400, 409, 422] }
idempotency = { in = "header", name = "Idempotency-Key", window_seconds = 3600, conflict = "refused" }
[effects.ticket]
sources = { kind = "http", api = "api", path = "/tickets/{key|urlencode}", headers = { "X-Api-Key" = "${API_KEY}" }, entries = "ticket", value = "title" }
[statuses.ticket]
source = { kind = "dynamodb-get", table = "tickets", item_key = { id = "{key}" } }
state = "state"
done = "open"
failed = ["rejected"]
[patterns.external-storage]
command = "open"
effect = "ticket"
status = "ticket"
"""

SIGV4_API = """
name = "internal-ledger"
[components]
api = { type = "api", name = "a1b2c3d4e5", stage = "prod" }
fn_url = { type = "function", name = "read-ledger" }
[commands.book]
calls = { kind = "http", api = "api", path = "/bookings", sigv4 = "execute-api", form = { id = "{key}", text = "{value}", cents = "{cents}" } }
fields.cents = { type = "money", unit = "cents", min = 1, max = 20 }
[effects.booked]
sources = { kind = "http", api = "fn_url", path = "/", query = { id = "{key}" }, sigv4 = "lambda", entries = "bookings", absent = [404, 410] }
[patterns.storage-first]
command = "book"
effect = "booked"
"""

SQS_FIFO = """
name = "shipping"
[components]
inbox = { type = "queue", name = "shipping.fifo" }
outbox = { type = "queue", name = "arn:aws:sqs:{region}:{account}:labels" }
[commands.ship]
calls = { kind = "sqs", queue = "inbox", json = { parcel = "{key}", what = "{value}", extra = "{extra}" }, attributes = { tenant = "{tenant}", trace = "{key|md5}" }, group_id = "{tenant}", deduplication_id = "{key|sha256:32}" }
fields.tenant = { type = "enum", values = ["acme", "globex", "initech"] }
fields.extra = { type = "json", max_depth = 12 }
original = "value"
idempotency = { in = "deduplication_id", window_seconds = 300, conflict = "first-wins" }
[effects.label]
sources = { kind = "sqs-messages", queue = "outbox", match = "parcel.id", equals = "{key}", value = "parcel.what", order = "sequence" }
[patterns.storage-first]
command = "ship"
effect = "label"
store = "inbox"
order = { group = "tenant" }
"""

SNS_FAN_OUT = """
name = "signups"
[components]
topic = { type = "topic", logical_id = "Signups" }
mail = { type = "table", logical_id = "Mail" }
crm = { type = "bucket", logical_id = "Crm" }
[commands.sign_up]
calls = { kind = "sns", topic = "topic", body = '{"user":"{key}","name":{value|json},"at":"{at}"}', attributes = { kind = "signup" } }
fields.at = { type = "timestamp" }
[effects.welcomed]
combine = "all"
[[effects.welcomed.sources]]
kind = "dynamodb-query"
table = "mail"
index = "by-user"
partition = { user_hash = "{key|sha256:12}" }
sort_prefix = { kind_at = "welcome#" }
where = "status == 'sent'"
[[effects.welcomed.sources]]
kind = "s3-object"
bucket = "crm"
object_key = "users/{key|prefix:2}/{key}.json"
content = "json"
value = "name"
body = "@"
[patterns.storage-first]
command = "sign_up"
effect = "welcomed"
store = "topic"
"""

EVENT_BUS = """
name = "payments-bus"
[components]
bus = { type = "bus", logical_id = "Bus" }
rule = { type = "rule", logical_id = "Rule" }
archive = { type = "archive", name = "payments" }
accounts = { type = "table", logical_id = "Accounts" }
[commands.pay]
calls = { kind = "eventbridge", bus = "bus", source = "shop.{region}", detail_type = "Payment", detail = { id = "{key}", note = "{value}", cents = "{cents}", meta = { account = "{account_id}" } } }
fields.cents = { type = "integer", min = 1, max = 500 }
fields.account_id = { type = "enum", values = ["a-1", "a-2"] }
[effects.balance]
sources = { kind = "dynamodb-get", table = "accounts", item_key = { id = "{account_id}" }, measure = { kind = "delta", path = "balance", start = 1000, step = "{cents}" } }
[effects.seen]
sources = { kind = "dynamodb-get", table = "accounts", item_key = { id = "{account_id}" }, measure = { kind = "member", path = "payments", element = "{key}" } }
[effects.turnover]
sources = { kind = "dynamodb-query", table = "accounts", partition = { day = "d#{key|prefix:3}" }, measure = { kind = "sum", path = "cents", step = "{cents}" } }
[effects.flag]
sources = { kind = "dynamodb-get", table = "accounts", item_key = { id = "{key}" }, measure = { kind = "attribute", path = "paid", equals = true } }
[patterns.storage-first]
command = "pay"
effect = "seen"
read = "balance"
store = "bus"
[[seed]]
table = "accounts"
item = { id = "a-1", balance = 1000, rate = 0.1, payments = ["none"] }
[[seed]]
table = "accounts"
item = { id = "a-2", balance = 1000 }
[conserved.money]
effect = "balance"
path = "balance"
total = 2000
"""

LAMBDA_PAYLOAD = """
name = "resize"
[components]
resize = { type = "function", logical_id = "Resize" }
images = { type = "bucket", logical_id = "Images" }
[commands.resize]
calls = { kind = "lambda", function = "resize", asynchronous = true, payload = { image = "{key}", width = "{width}", into = "{images.name}", note = "{value}" } }
fields.width = { type = "integer", min = 16, max = 64 }
acknowledgement = { acknowledged = ["2xx"], refused = [413] }
[effects.resized]
sources = { kind = "s3-prefix", bucket = "images", prefix = "out/{key}/{width}/" }
[patterns.external-storage]
command = "resize"
effect = "resized"
workers = "resize"
[met_by]
ES-4 = { how = "dead-letter", reason = "the failure destination of the function keeps it" }
"""

STEP_FUNCTIONS = """
name = "booking-saga"
[components]
saga = { type = "state_machine", logical_id = "Saga" }
stock = { type = "table", logical_id = "Stock" }
[commands.book]
calls = { kind = "execution", state_machine = "saga", name = "{key}", input = { order = "{key}", note = "{value}", fail_at = "{fail_at}" } }
fields.fail_at = { type = "enum", values = ["none"] }
idempotency = { in = "execution_name", window_seconds = 7776000, conflict = "refused" }
[effects.reserved]
sources = { kind = "dynamodb-query", table = "stock", partition = { pk = "order#{key}" }, sort_prefix = { sk = "reserve#" } }
[effects.released]
sources = { kind = "dynamodb-query", table = "stock", partition = { pk = "order#{key}" }, sort_prefix = { sk = "release#" } }
[patterns.saga]
command = "book"
effect = "reserved"
state_machine = "saga"
pivot = "reserve"
steps = [{ name = "reserve", effect = "reserved", undone = "released", state = "Reserve", compensation = { state = "Release" } }]
[[business_failures]]
fields = { fail_at = "reserve" }
step = "reserve"
[[refused]]
fields = { fail_at = "validation" }
why = "an unknown step"
"""

PRESIGNED_UPLOAD = """
name = "payroll"
[components]
api = { type = "api", logical_id = "Api", stage = "v1" }
files = { type = "bucket", logical_id = "Files" }
dlq = { type = "bucket", logical_id = "Failed" }
[commands.upload]
calls = [
  { kind = "http", api = "api", path = "/uploads", json = { id = "{key}" }, save = { upload_url = "json.url", form_token = "headers.\\"x-token\\"" } },
  { kind = "http", method = "PUT", url = "{upload_url}", headers = { "X-Token" = "{form_token}" }, body = "name,amount\\n{value},{amount}\\n" },
]
fields.amount = { type = "money" }
idempotency = { in = "object_key" }
[effects.stored]
sources = { kind = "s3-object", bucket = "files", object_key = "in/{key}.csv" }
[effects.result]
sources = { kind = "s3-object", bucket = "files", object_key = "out/{key}.json", content = "json", value = "rows[0].name" }
[dead_letters.failed]
bucket = "dlq"
key = "json.id"
original = ""
[patterns.external-storage]
command = "upload"
effect = "result"
stored = "stored"
store = "files"
dead_letters = "failed"
"""

EXAMPLES = {
    "orders": ORDERS,
    "api-key": API_KEY_HTTP_API,
    "sigv4": SIGV4_API,
    "fifo": SQS_FIFO,
    "sns": SNS_FAN_OUT,
    "bus": EVENT_BUS,
    "lambda": LAMBDA_PAYLOAD,
    "step-functions": STEP_FUNCTIONS,
    "presigned": PRESIGNED_UPLOAD,
}


def load_text(text: str, directory: Path, environ: dict[str, str] | None = None) -> Descriptor:
    """Write a descriptor into a directory and load it."""
    path = directory / "example.stack.toml"
    path.write_text(text, encoding="utf-8")
    return load_descriptor(path, ENVIRON if environ is None else environ)
