"""`python -m bench [ROW …]`: build fleets on throwaway servers, measure, print the table, write results.json.

BENCH_SCALE is the number of devices (1,000,000 unless set; 10,000 for a quick look), BENCH_ROUNDS how often each pair
is measured.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from bench.rounds import Figure
from bench.stage import Stage, open_stage

ROWS = {"A": "sweep", "B": "presence", "C": "dispatch", "D": "renewal", "E": "lists", "F": "notices", "G": "stickers"}
RESULTS = Path(__file__).with_name("results.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the rows asked for, all of them if none is named."""
    options = _options(arguments)
    with open_stage(options.scale, options.migrated) as stage:
        from bench import report  # Django is loaded by now

        print(report.heading())
        rows = [row for row in ROWS if row in (options.rows or ROWS)]  # always in this order: rows leave things behind
        figures = [figure for row in rows for figure in _measure(row, stage, options.rounds)]
        report.write(options.out, figures, scale=options.scale, rounds=options.rounds)
        print(f"\nWritten to {options.out}")


def _measure(row: str, stage: Stage, rounds: int) -> list[Figure]:
    from amp import tuning
    from bench import fleet, report

    stage.use(stage.large)
    fleet.rest()
    stage.stack.mosquitto.restart()  # one that has just queued for row B answers each publish later
    tuning.settle()  # what a row has left in memory is no business of the next one's collector
    started = time.perf_counter()
    figures = []
    for figure in importlib.import_module(f"bench.{ROWS[row]}").figures(stage, rounds):
        print(report.line(figure), flush=True)
        figures.append(figure)
    print(f"   row {row} took {time.perf_counter() - started:.0f} s", flush=True)
    return figures


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", type=str.upper, metavar="ROW", help="A, B, C, D, E, F or G")
    parser.add_argument("--scale", type=int, default=int(os.environ.get("BENCH_SCALE", "1000000")))
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_ROUNDS", "5")))
    parser.add_argument("--out", type=Path, default=RESULTS, help="where to write the results")
    parser.add_argument("--migrated", type=Path, help="where dumps of migrated databases are kept from run to run")
    options = parser.parse_args(arguments)
    if not set(options.rows) <= ROWS.keys():
        parser.error(f"rows are {', '.join(ROWS)}")
    if options.scale < 100 or options.rounds < 1:
        parser.error("at least 100 devices and one round")
    return options


if __name__ == "__main__":
    main()
