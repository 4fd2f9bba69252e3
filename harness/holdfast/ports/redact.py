"""Keeps secrets out of the history."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

REDACTED = "[redacted]"
LONGEST_ANSWER_CHARACTERS = 500

SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSW|API_?KEY|CREDENTIAL|PRIVATE_?KEY", re.IGNORECASE)
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "x-amz-security-token", "x-api-key", "cookie"})
_SHORTEST_SECRET = 8  # a shorter value (an emulator's "test") would blacken ordinary words

_HEADER = re.compile(
    r"""(?ix) \b(?P<name>(?:proxy-)?authorization|x-amz-security-token|x-api-key|set-cookie|cookie)
    (?P<gap>\\?["']?\s*[:=]\s*) (?!\[redacted\])
    (?: (?P<quote>\\?["']) (?:(?!(?P=quote)).)* (?:(?P=quote)|$) | [^\r\n"'<>{}]+ )""",
)
_QUERY = re.compile(
    r"(?i)\b(?P<name>X-Amz-Signature|X-Amz-Security-Token|X-Amz-Credential|Signature|AWSAccessKeyId)=[^&\s\"'<>\\]*"
)
_CREDENTIAL = re.compile(r"(?i)\b(?P<name>Credential|Signature)=[^,\s\"'<>&\\]+")


def _hidden_header(match: re.Match[str]) -> str:
    quote = match["quote"] or ""
    return f"{match['name']}{match['gap']}{quote}{REDACTED}{quote}"


class Redactor:
    """Removes header values, signatures and known secret values from text.

    Args:
        secrets: values that must never be shown; short ones are ignored.
        environ: variables whose names speak of secrets are added.
    """

    def __init__(self, secrets: Iterable[str | None] = (), environ: Mapping[str, str] = os.environ) -> None:
        named = (value for name, value in environ.items() if SECRET_NAME.search(name))
        known = {value for value in (*secrets, *named) if value and len(value) >= _SHORTEST_SECRET}
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def clean(self, text: str, secrets: Iterable[str] = ()) -> str:
        """The text without secrets.

        Args:
            text: any text.
            secrets: further values that must not be shown, e.g. the headers that were sent.
        """
        for secret in (*self._secrets, *(value for value in secrets if len(value) >= _SHORTEST_SECRET)):
            text = text.replace(secret, REDACTED)
        text = _QUERY.sub(lambda match: f"{match['name']}={REDACTED}", text)
        text = _HEADER.sub(_hidden_header, text)
        return _CREDENTIAL.sub(lambda match: f"{match['name']}={REDACTED}", text)

    def shorten(self, text: str, secrets: Iterable[str] = ()) -> str:
        """The cleaned text, cut to what the history keeps."""
        text = self.clean(text, secrets)
        return text if len(text) <= LONGEST_ANSWER_CHARACTERS else text[: LONGEST_ANSWER_CHARACTERS - 1] + "…"
