"""Faults on the run's clock.

plan          the file: what is broken, when, for how long, how often, and while what holds
checking      what is wrong with a plan, found before anything is sent
running       puts faults on and takes them off, each in a thread of its own
"""
