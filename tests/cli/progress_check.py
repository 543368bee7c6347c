#!/usr/bin/env python3
"""Progress of helm-profile and helm-exec on a terminal: one line that is written over, with a bar, counts and the time left, and gone at the end.

    progress_check.py BIN_FOLDER
"""
import os
import pathlib
import pty
import re
import subprocess
import sys
import tempfile

from interrupt_checks import CONFIG


def on_terminal(*command, folder):
    """What the command writes to a terminal as its standard error."""
    reader, writer = pty.openpty()
    process = subprocess.Popen([str(part) for part in command], cwd=folder, stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    text = b""
    try:
        while chunk := os.read(reader, 65536):
            text += chunk
    except OSError:  # the last writer has closed its end
        pass
    assert process.wait(timeout=300) == 0, text
    return text.decode()


def check(text, title):
    lines = [line for line in text.replace("\n", "\r").split("\r") if title + " [" in line]
    found = [re.match(r"\x1b\[K" + title + r" \[(=* *)\] (\d+)/(\d+) (.*)", line) for line in lines]
    assert lines and all(found), text
    counts = [(int(match[2]), int(match[3])) for match in found]
    assert counts == sorted(counts) and len({total for _, total in counts}) == 1, counts
    assert all(len(match[1]) == 24 and match[1].count("=") == done * 24 // total for match, (done, total) in zip(found, counts)), text
    # The time left is told once something is done.
    assert any(re.match(r"[\d.]+ (s|min|h) left ", match[4]) for match, (done, _) in zip(found, counts) if done > 0), text
    assert text.rstrip("\n").endswith("\r\x1b[K") or "\r\x1b[K" in text[text.rindex(title):], text


def main():
    binaries = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "run.yaml").write_text(CONFIG)
        fixed = [word for setting in ("data=2", "tensor=1", "micro_batch=1") for word in ("--set", "strategy." + setting)]
        check(on_terminal(binaries / "helm-profile", "run.yaml", *fixed, "--out", "table.json", folder=folder), "measuring")
        subprocess.run([str(binaries / "helm-plan"), "run.yaml", *fixed, "--out", "plan.yaml"], cwd=folder, check=True, capture_output=True)
        check(on_terminal(binaries / "helm-exec", "plan.yaml", "--steps", "200", folder=folder), "running")


if __name__ == "__main__":
    main()
