"""Errors of a handler are reported as the runtime reports them, and each invocation's log has an end.

AWS answers a raised exception with its own type, message and stack trace, and keeps the execution environment:
https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html and
https://docs.aws.amazon.com/lambda/latest/dg/nodejs-exceptions.html. A result that is no JSON is
``Runtime.MarshalError``. MiniStack calls every error ``Runtime.HandlerError`` and ends the process.

The end marker on standard error spares the 50 ms that MiniStack waits after each invocation for a first log line.
Python's ``logging`` has a handler at the root, as AWS' runtime installs one:
https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html.
"""

from __future__ import annotations

from ministack.core import lambda_runtime

from holdfast.targets.emulator.known import substitute

LOG_END = "\x1eholdfast-end "
"""Starts the last line of an invocation's log; the record separator is not printed by accident."""

_PYTHON = (
    (
        "def run():\n",
        f"""def run():
    import logging
    _hf_err = sys.stderr
    _hf_log = logging.StreamHandler(_hf_err)
    _hf_log.setFormatter(logging.Formatter("[%(levelname)s]\\t%(asctime)s\\t%(message)s"))
    logging.getLogger().addHandler(_hf_log)

    def _hf_end(request_id, answer):
        _hf_err.write({LOG_END!r} + request_id + "\\n")
        _hf_err.flush()
        _real_stdout.write(answer + "\\n")

    def _hf_fault(e, request_id, kind=None, message=None):
        _hf_err.write("[ERROR] " + type(e).__name__ + ": " + str(e) + "\\n" + traceback.format_exc())
        return json.dumps({{"status": "error", "handled": True, "error": {{
            "errorMessage": message or str(e),
            "errorType": kind or type(e).__name__,
            "requestId": request_id,
            "stackTrace": traceback.format_tb(e.__traceback__)[1:],
        }}}})
""",
    ),
    (
        """            result = handler_fn(event, context)
            _real_stdout.write(json.dumps({"status": "ok", "result": result}) + "\\n")
        except Exception as e:
            _real_stdout.write(json.dumps({"status": "error", "error": str(e), "trace": traceback.format_exc()}) + "\\n")
""",  # noqa: E501
        """            result = handler_fn(event, context)
            try:
                _hf_answer = json.dumps({"status": "ok", "result": result})
            except Exception as e:
                _hf_answer = _hf_fault(
                    e, context.aws_request_id, "Runtime.MarshalError", "Unable to marshal response: " + str(e))
        except Exception as e:
            _hf_answer = _hf_fault(e, context.aws_request_id)
        _hf_end(context.aws_request_id, _hf_answer)
""",
    ),
)

_NODE = (
    (
        """// Redirect stdout to stderr so stdout stays clean for JSON-line protocol
const fs = require("fs");
""",
        f"""// Redirect stdout to stderr so stdout stays clean for JSON-line protocol
const fs = require("fs");
function _hfEnd(requestId, answer) {{
  _realWriteSync(2, {chr(34)}\\u001e{LOG_END[1:]}{chr(34)} + requestId + "\\n");
  _realStdoutWrite(JSON.stringify(answer) + "\\n");
}}
function _hfFault(err, requestId) {{
  const trace = String((err && err.stack) || "").split("\\n");
  console.error("Invoke Error", trace.join("\\n"));
  return {{ status: "error", handled: true, error: {{
    errorType: (err && err.name) || "Error", errorMessage: String((err && err.message) || err), trace: trace,
  }} }};
}}
""",
    ),
    (
        """          _realStdoutWrite(JSON.stringify({
            status: "error", error: String(err.message || err), trace: err.stack || ""
          }) + "\\n");
        } else {
          _realStdoutWrite(JSON.stringify({ status: "ok", result: res }) + "\\n");
""",
        """          _hfEnd(context.awsRequestId, _hfFault(err, context.awsRequestId));
        } else {
          _hfEnd(context.awsRequestId, { status: "ok", result: res });
""",
    ),
    (
        """    } catch (e) {
      _realStdoutWrite(JSON.stringify({
        status: "error", error: e.message, trace: e.stack
      }) + "\\n");
    }
  } catch (e) {""",
        """    } catch (e) {
      _hfEnd(context.awsRequestId, _hfFault(e, context.awsRequestId));
    }
  } catch (e) {""",
    ),
)


def apply() -> None:
    """Rewrite the scripts that run in the functions' processes."""
    lambda_runtime._PYTHON_WORKER_SCRIPT = substitute(
        lambda_runtime._PYTHON_WORKER_SCRIPT, _PYTHON, "Python worker script"
    )
    lambda_runtime._NODEJS_WORKER_SCRIPT = substitute(
        lambda_runtime._NODEJS_WORKER_SCRIPT, _NODE, "Node.js worker script"
    )
