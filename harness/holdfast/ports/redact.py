"""Keeps secrets out of the history."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from holdfast.stack.hidden import SHORTEST_ANYWHERE, Hidden
from holdfast.stack.marked import Marked
from holdfast.stack.masking import Masking

REDACTED = "[redacted]"
LONGEST_ANSWER_CHARACTERS = 500

SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSW|API_?KEY|CREDENTIAL|PRIVATE_?KEY", re.IGNORECASE)
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "x-amz-security-token", "x-api-key", "cookie"})

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
    """Removes header values, signatures, marked fields and known secret values from text.

    Values are looked for in all the forms of `holdfast.stack.hidden`.

    Args:
        secrets: values that must never be shown; those below 8 characters are ignored.
        environ: variables whose names speak of secrets are added, likewise.
        declared: values that a descriptor takes from the environment; from 4 characters on, those below 8 as words.
        marked: the fields that a descriptor marks as secret.
    """

    def __init__(
        self,
        secrets: Iterable[str | None] = (),
        environ: Mapping[str, str] = os.environ,
        *,
        declared: Iterable[str] = (),
        marked: Marked | None = None,
    ) -> None:
        named = (value for name, value in environ.items() if SECRET_NAME.search(name))
        self._hidden = Hidden(lambda _: REDACTED)
        self._hidden.add(value for value in (*secrets, *named) if value and len(value) >= SHORTEST_ANYWHERE)
        self._hidden.add(declared)
        self._marked = marked if marked else None
        self._masking = Masking(marked.marks, marked.known) if marked else None

    def clean(self, text: str, secrets: Iterable[str] = ()) -> str:
        """The text without secrets.

        Args:
            text: any text.
            secrets: further values that must not be shown, e.g. the headers that were sent.
        """
        if self._masking is not None and self._marked is not None:
            text = self._marked.known.remove(self._masking.mask(text))
        text = self._hidden.remove(text)
        further = [value for value in secrets if len(value) >= SHORTEST_ANYWHERE and value not in self._hidden]
        if further:
            once = Hidden(lambda _: REDACTED)
            once.add(further)
            text = once.remove(text)
        text = _QUERY.sub(lambda match: f"{match['name']}={REDACTED}", text)
        text = _HEADER.sub(_hidden_header, text)
        return _CREDENTIAL.sub(lambda match: f"{match['name']}={REDACTED}", text)

    def shorten(self, text: str, secrets: Iterable[str] = ()) -> str:
        """The cleaned text, cut to what the history keeps."""
        text = self.clean(text, secrets)
        return text if len(text) <= LONGEST_ANSWER_CHARACTERS else text[: LONGEST_ANSWER_CHARACTERS - 1] + "…"
