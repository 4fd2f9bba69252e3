"""Load: arrivals on a schedule, a cheap client, and every operation recorded for the checkers.

Nothing here imports Locust, and only `client.connection` and `dispatcher.run` import gevent: pytest never does.
"""
