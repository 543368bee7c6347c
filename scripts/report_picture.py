#!/usr/bin/env python3
"""Makes the pictures of the report in README.md, light and dark, from what scripts/demo left.

Usage: scripts/report_picture.py [--demo build/demo] [--out docs/images]

Compares the predicted and the measured timeline of the demo's pipeline (of its chosen plan, if it has none) and takes report-light.png and
report-dark.png of the page in Debian's chromium.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("HELM_BIN", ROOT / "build" / "bin"))
WIDTH, HEIGHT = 1280, 1610
LARGEST_BYTES = 300_000


def timelines(demo):
    """(predicted, measured) of the demo's pipeline, else of its chosen plan."""
    pairs = [(demo / f"predicted{suffix}.json", demo / f"measured{suffix}.json") for suffix in ("", "-2", "-3", "-4")]
    pairs = [pair for pair in pairs if all(path.exists() for path in pair)]
    if not pairs:
        sys.exit(f"report_picture: {demo} has no predicted.json and measured.json: run scripts/demo first")
    for pair in pairs:
        if "pipeline" in json.loads(pair[1].read_text(encoding="utf-8"))["plan"]:
            return pair
    return pairs[0]


def take(page, folder, picture, dark):
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
               f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}", "--virtual-time-budget=10000",
               f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--screenshot={picture}", page]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    if picture.stat().st_size > LARGEST_BYTES:
        sys.exit(f"report_picture: {picture} has {picture.stat().st_size} bytes, more than the {LARGEST_BYTES} that a repository should carry")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=pathlib.Path, default=ROOT / "build/demo")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/images")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="helm_picture_") as folder:
        report = pathlib.Path(folder) / "report.html"
        subprocess.run([BIN / "helm-compare", *timelines(arguments.demo), "--html", report], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        for scheme in ("light", "dark"):
            take(f"file://{report}#path", folder, (arguments.out / f"report-{scheme}.png").resolve(), scheme == "dark")


if __name__ == "__main__":
    main()
