#!/usr/bin/env python3
"""Tests scripts/leave_one_out.py on runs made up so that the right constants are known."""
import importlib.util
import math
import pathlib
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/leave_one_out.py"

spec = importlib.util.spec_from_file_location("leave_one_out", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


def row(name, source, kind, clock, host, launched, group=0, strategy=1):
    """A step that takes 1 s as HELM predicts it: all of it products, or all of it launches, which take `clock`, `host` times as long."""
    measured = host if launched else 1 / clock
    made = script.Row({"id": name, "source": source, "kind": kind, "group": group, "strategy": strategy, "measured": {"step_time_s": measured}})
    made.predicted[()] = 1.0
    for value in script.GRID["clock"]:
        made.predicted["clock", value] = 1.0 if launched else 1 / value
    for value in script.GRID["python_kernel_us"]:
        made.predicted["python_kernel_us", value] = value / script.GRID["python_kernel_us"][1] if launched else 1.0
    return made


class LeaveOneOut(unittest.TestCase):
    def test_a_fit_finds_the_constants(self):
        # Products at 0.9 of the clock, launches of 1.2 x 46 us; a third source is off by 1.5 for other reasons and pulls little.
        rows = [row(f"{source}{i}", source, "hopper", 0.9, 1.2, i % 2) for source in ("a", "b") for i in range(10)]
        rows += [row("c", "c", "hopper", 1 / 1.5, 1.2, False)]
        constants = script.fit(rows)
        self.assertAlmostEqual(constants["clock"]["hopper"], 0.9, delta=0.005)
        self.assertAlmostEqual(constants["python_kernel_us"], 1.2 * 46, delta=0.8)

    def test_a_generation_without_other_runs_takes_hoppers_clock(self):
        rows = [row("a", "a", "hopper", 1.0, 1.0, False), row("b", "b", "blackwell", 0.9, 1.0, False)]
        clocks = script.fit_without(rows, "b")["clock"]
        self.assertAlmostEqual(script.CLOCKS["blackwell"] * clocks["blackwell"], script.HOPPER_CLOCK * clocks["hopper"])

    def test_quantiles_count_sources_as_asked(self):
        # Nine of source a at 0, one of b at 1. By values b has a tenth, by roots a quarter, by sources half of the weight.
        pairs = [("a", 0.0)] * 9 + [("b", 1.0)]
        for power, share in ((0.0, 0.1), (0.5, 0.25), (1.0, 0.5)):
            weighted = script.weighted_by_source(pairs, power)
            self.assertEqual(script.quantile(weighted, 1 - share), 0.0)
            self.assertEqual(script.quantile(weighted, 1 - share + 0.01), 1.0)

    def test_a_band_needs_two_sources(self):
        outside = [(row(f"{source}{i}", source, kind, 1, 1, False), math.log(1 + i / 100)) for source, kind in
                   (("a", "hopper"), ("b", "hopper"), ("c", "ampere")) for i in range(20)]
        kinds = {band["kind"]: band for band in script.bands_of(outside)}
        self.assertEqual(sorted(kinds), ["all", "hopper"])
        # Of 1.00 to 1.19 twice: the fourth and the thirty-sixth of forty.
        self.assertEqual((kinds["hopper"]["low"], kinds["hopper"]["high"]), (1.01, 1.17))

    def test_pairs_differ_in_the_strategy_alone(self):
        rows = [row("a", "a", "hopper", 1, 1, False, 0, "x"), row("b", "a", "hopper", 1, 1, False, 0, "y"),
                row("c", "a", "hopper", 1, 1, False, 0, "y"), row("d", "a", "hopper", 1, 1, False, 1, "z")]
        errors = script.pair_errors(list(zip(rows, (0.1, 0.3, 0.4, 5.0))))
        self.assertEqual([round(error, 3) for _, error in errors], [0.2, 0.3])


if __name__ == "__main__":
    unittest.main()
