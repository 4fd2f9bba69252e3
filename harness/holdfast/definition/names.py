"""What the names of states and functions say: a verb, an object, and which verbs undo which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_UNDOING: dict[str, tuple[str, ...]] = {
    "reserve": ("cancel", "release", "unreserve", "free"),
    "book": ("cancel", "unbook", "release"),
    "hold": ("release", "cancel"),
    "allocate": ("release", "deallocate", "free"),
    "acquire": ("release",),
    "lock": ("unlock", "release"),
    "charge": ("refund", "reverse", "void", "cancel"),
    "pay": ("refund", "reverse", "cancel"),
    "collect": ("refund",),
    "take": ("refund", "return", "release"),
    "capture": ("refund", "void"),
    "authorize": ("void", "release", "cancel"),
    "authorise": ("void", "release", "cancel"),
    "debit": ("credit", "refund"),
    "credit": ("debit",),
    "withdraw": ("deposit",),
    "deposit": ("withdraw",),
    "deduct": ("add", "restore", "return", "refund"),
    "decrement": ("increment", "restore"),
    "increment": ("decrement",),
    "create": ("delete", "cancel", "remove", "destroy", "reject"),
    "add": ("remove", "delete"),
    "insert": ("delete", "remove"),
    "put": ("delete", "remove"),
    "save": ("delete", "remove"),
    "store": ("delete", "remove"),
    "write": ("delete", "remove"),
    "upload": ("delete", "remove"),
    "place": ("cancel", "remove"),
    "submit": ("cancel", "withdraw"),
    "order": ("cancel",),
    "open": ("close",),
    "start": ("stop", "cancel"),
    "launch": ("terminate",),
    "provision": ("deprovision", "terminate", "delete"),
    "register": ("deregister", "unregister", "delete"),
    "subscribe": ("unsubscribe", "cancel"),
    "enable": ("disable",),
    "activate": ("deactivate",),
    "attach": ("detach",),
    "assign": ("unassign", "release"),
    "schedule": ("unschedule", "cancel"),
    "ship": ("cancel", "recall", "return"),
    "arrange": ("cancel",),
    "rent": ("cancel", "return"),
    "issue": ("revoke", "cancel"),
    "grant": ("revoke",),
    "publish": ("unpublish", "retract"),
    "send": ("recall",),
    "update": ("revert", "restore"),
    "process": ("refund", "reverse", "cancel"),
}
_ALWAYS_UNDOING = frozenset({"compensate", "undo", "rollback", "revert", "reverse", "unwind", "compensation"})
_ONLY_UNDOING = frozenset(
    {"cancel", "refund", "release", "void", "unreserve", "unbook", "revoke", "recall", "deallocate"}
)
_READING = frozenset(
    {
        *("get", "read", "fetch", "list", "describe", "query", "scan", "lookup", "find", "search", "load", "check"),
        *(
            "validate",
            "verify",
            "calculate",
            "compute",
            "estimate",
            "quote",
            "poll",
            "is",
            "has",
            "determine",
            "evaluate",
        ),
        *("inspect", "head", "parse", "transform", "format"),
    }
)
_TELLING = frozenset({"notify", "notification", "alert", "email", "mail", "sms", "log", "report", "inform", "message"})
_FILLING = frozenset(
    {
        *(
            "the",
            "a",
            "an",
            "of",
            "for",
            "and",
            "to",
            "in",
            "on",
            "function",
            "lambda",
            "fn",
            "task",
            "step",
            "state",
            "async",
        ),
        *("handler", "arn", "saga", "reservation", "booking", "transaction", "request", "service", "invoke"),
    }
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A name taken apart.

    Attributes:
        verb: its verb in the plain form; empty when none is known.
        objects: the other words, singular, words that say nothing left out.
        undoes: whether the name says that something is undone, e.g. ``UndoReserveHotel``.
    """

    verb: str
    objects: frozenset[str]
    undoes: bool


@lru_cache(maxsize=4096)
def phrase(name: str) -> Phrase:
    """Take a name apart: ``ReserveHotels``, ``reserve-hotel`` and ``Reserve hotel`` are the same phrase."""
    words = [_plain(word.lower()) for word in _WORD.findall(re.sub(r"[Rr]oll[ _-]?[Bb]ack", "Rollback", name))]
    undoes = any(word in _ALWAYS_UNDOING for word in words)
    words = [word for word in words if word not in _ALWAYS_UNDOING]
    known = [word for word in words if word in _UNDOING or word in _VERBS_THAT_UNDO or word in _READING]
    verb = known[0] if known else ""
    return Phrase(verb, frozenset(word for word in words if word != verb and word not in _FILLING), undoes)


def undoes(later: Phrase, earlier: Phrase) -> str:
    """Why one name undoes another, e.g. ``Cancel undoes Reserve``; empty when it does not seem to."""
    if later.undoes:
        if later.objects == earlier.objects and later.verb in ("", earlier.verb):
            return f"names it as what it undoes ({later.verb or ' '.join(sorted(later.objects))})"
        return ""
    if earlier.undoes or later.verb not in _UNDOING.get(earlier.verb, ()):
        return ""
    if _same_objects(later, earlier):
        return f"{later.verb} undoes {earlier.verb}"
    return ""


def _same_objects(later: Phrase, earlier: Phrase) -> bool:
    if later.objects == earlier.objects:
        return True
    # RefundPayment undoes ChargeCard no more than it undoes ReserveHotel; Refund undoes ProcessPayment, though
    return later.verb == "refund" and bool(_MONEY & (earlier.objects | {earlier.verb})) and not later.objects - _MONEY


def says_undo(name: Phrase) -> bool:
    """Whether a name by itself says that something is undone."""
    return name.undoes or name.verb in _ONLY_UNDOING


def may_undo(name: Phrase) -> bool:
    """Whether a name could undo anything at all."""
    return name.undoes or name.verb in _VERBS_THAT_UNDO


def only_reads(name: Phrase) -> bool:
    """Whether a name says that nothing is changed."""
    return name.verb in _READING


def only_tells(name: Phrase) -> bool:
    """Whether a name says that somebody is told something, which nothing can undo."""
    return bool(_TELLING & (name.objects | {name.verb}))


def _plain(word: str) -> str:
    if word in _UNDOING or word in _FILLING or word in _READING:
        return word
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if word.endswith(ending) and not word.endswith("ss") and len(word) > 3:
            return word[: -len(ending)] + instead
    return word


_VERBS_THAT_UNDO = frozenset(word for words in _UNDOING.values() for word in words)
_MONEY = frozenset(
    {"pay", "payment", "charge", "money", "card", "credit", "customer", "debit", "fund", "amount", "invoice"}
)
