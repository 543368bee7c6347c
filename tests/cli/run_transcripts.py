#!/usr/bin/env python3
"""Runs golden transcripts of the command-line tools: tests/cli/*.t.

A transcript is a text file:

    # a comment
    $ helm-sim unknown_key.yaml
    unknown_key.yaml:9:3: error: ...
    [exit 2]

A command runs in bash, in tests/cli/inputs, with the tools on the PATH and an empty folder $TMP that all commands of one file share.
What follows, up to the next command, is what it prints: stdout and stderr together, trailing blanks cut. `[exit N]` stands where the
exit code is not 0. A line `...` stands for any number of lines. In the output the source folder reads <source>, the build's <bin>, the
temporary one $TMP, and 16 hexadecimal digits (the hash of a program) <hash>.

HELM_UPDATE_GOLDEN=1 rewrites the expectations; review them with `git diff`.
"""
import argparse
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CLI = pathlib.Path(__file__).resolve().parent
SOURCE = CLI.parent.parent
TIMEOUT_S = 120


def parse(text):
    """[(lines before the first command)], [(command, expected lines)]."""
    preamble, commands = [], []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif commands:
            commands[-1][1].append(line)
        else:
            preamble.append(line)
    return preamble, commands


def matches(expected, actual):
    """Whether the lines agree, `...` standing for any number of lines."""
    if not expected:
        return not actual
    if expected[0] == "...":
        return any(matches(expected[1:], actual[i:]) for i in range(len(actual) + 1))
    return bool(actual) and expected[0] == actual[0] and matches(expected[1:], actual[1:])


def environment(bin_folder, temporary):
    """Nothing of the caller's environment that could change what the tools print."""
    return {
        "PATH": f"{bin_folder}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "HOME": temporary,
        "TMP": temporary,
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "HELM_CONFIG_DIR": str(SOURCE / "configs"),
        # For the sanitizer builds.
        **{name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH") if name in os.environ},
    }


def run(command, bin_folder, temporary):
    """The lines that the command prints, with its exit code."""
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=CLI / "inputs",
        env=environment(bin_folder, temporary),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
    )
    text = result.stdout.decode("utf-8", "backslashreplace")
    for folder, name in ((temporary, "$TMP"), (str(bin_folder), "<bin>"), (str(SOURCE), "<source>")):
        text = text.replace(folder, name)
    text = re.sub(r"\b[0-9a-f]{16}\b", "<hash>", text)
    lines = [line.rstrip() for line in text.splitlines()]
    if result.returncode != 0:
        lines.append(f"[exit {result.returncode}]")
    return lines


def check(path, bin_folder, update):
    """Runs one transcript. Returns whether it agrees; prints the difference where not."""
    text = path.read_text(encoding="utf-8")
    preamble, commands = parse(text)
    if not commands:
        print(f"{path}: no command")
        return False
    found = list(preamble)
    agrees = True
    with tempfile.TemporaryDirectory(prefix="helm_cli_") as temporary:
        for command, expected in commands:
            actual = run(command, bin_folder, temporary)
            # Blank lines and comments between commands belong to the file, not to the output.
            tail = []
            while expected and (not expected[-1] or expected[-1].startswith("# ")):
                tail.insert(0, expected.pop())
            if matches(expected, actual):
                actual = expected  # keeps its `...`
            else:
                agrees = False
            found += [f"$ {command}", *actual, *tail]
    new = "\n".join(found) + "\n"
    if agrees:
        return True
    if update:
        path.write_text(new, encoding="utf-8")
        print(f"{path}: rewritten")
        return True
    sys.stdout.writelines(difflib.unified_diff(text.splitlines(True), new.splitlines(True), str(path), "what happens now"))
    return False


def main():
    parser = argparse.ArgumentParser(description="Runs golden transcripts of the command-line tools.")
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of the tools")
    parser.add_argument("transcripts", nargs="*", type=pathlib.Path, help="default: all of tests/cli")
    arguments = parser.parse_args()
    update = os.environ.get("HELM_UPDATE_GOLDEN") == "1"
    results = [check(path, arguments.bin.resolve(), update) for path in arguments.transcripts or sorted(CLI.glob("*.t"))]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
