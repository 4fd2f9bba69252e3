"""A canary request to an API, to see whether its stage refuses it."""

from __future__ import annotations

import urllib3

CANARY_SECONDS = 10.0


def refused(url: str) -> bool:
    """Whether GET answers 429: API Gateway refused it before any integration ran.

    Args:
        url: of a method that may be asked at any time.
    """
    with urllib3.PoolManager(timeout=CANARY_SECONDS, retries=False) as http:
        try:
            return http.request("GET", url, redirect=False).status == 429
        except urllib3.exceptions.HTTPError:
            return False
