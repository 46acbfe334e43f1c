"""Throwaway PostgreSQL, Redis, Mosquitto and Chromium, and the product's own processes, for tests.

Everything runs on free ports of the loopback interface in a temporary directory, and ends with the test run, even if
that is killed. `plugin` holds the pytest fixtures, `postgresql`, `redis`, `mosquitto` one service each, `processes` the
commands that production runs too, `forkserver` and `loaded` how they start without loading the product each time,
`emptying` what is left of a test that commits, `daemon` and `watchdog` how a process is started and surely ended.
It must not know what the product does: no model, no rule, no page.
"""
