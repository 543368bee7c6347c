#!/usr/bin/env python3
"""Sums ctest's JUnit files: names what was skipped and what failed, and prints `N passed, N failed, N skipped` as the last line.

A test that could not be started (its executable is missing) has failed, though ctest's file calls it skipped. A step that broke before
its tests (--broken) counts as one failure each.
"""

import argparse
import os
import sys
import xml.etree.ElementTree


def outcome(case):
    status, skipped = case.get("status"), case.find("skipped")
    if status == "run":
        return "passed"
    if status == "disabled" or (skipped is not None and "SKIP" in skipped.get("message", "")):
        return "skipped"
    return "failed"


def reason(case):
    """The line that GoogleTest prints before [  SKIPPED ], where there is one."""
    lines = [line.strip() for line in (case.findtext("system-out") or "").splitlines()]
    for number, line in enumerate(lines):
        if line.endswith("Skipped") and number + 1 < len(lines):
            return lines[number + 1]
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broken", type=int, default=0)
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    counts = {"passed": 0, "failed": arguments.broken, "skipped": 0}
    for file in arguments.files:
        if not os.path.exists(file):
            continue  # an unmatched pattern
        build = os.path.splitext(os.path.basename(file))[0]
        for case in xml.etree.ElementTree.parse(file).getroot().iter("testcase"):
            result = outcome(case)
            counts[result] += 1
            if result != "passed":
                print(f"{result}: {build}: {case.get('name')} {reason(case)}".rstrip())
    if not counts["passed"] and not counts["failed"]:
        counts["failed"] = 1  # no test at all is not a success
    print(", ".join(f"{number} {result}" for result, number in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
