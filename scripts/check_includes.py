#!/usr/bin/env python3
"""Checks of the sources that a compiler does not make; a test (ctest -R style/) and part of scripts/tidy.

An include may only name a header of the own module or of one that the module's CMakeLists.txt names (a header may not use
PRIVATE_DEPS); torch and CUDA stay in runtime/; sizes stay small; nothing outside tools/ prints or exits. CMake enforces most of the
first rule by itself, but `../` and headers that are found only through another module get past it.

Prints `FILE:LINE: error: what and what to do`, exits with 1 when there is any.
"""

import pathlib
import re
import subprocess
import sys

FILE_LINES = 600
FUNCTION_LINES = 70

# Code that may print, exit or include anything: mains, tests, benchmarks.
PROGRAMS = ("tools", "tests", "bench")

FOREIGN = re.compile(r"(torch|c10|ATen|caffe2|gloo|cuda\w*|cupti\w*|nccl\w*|nvml|nvtx\w*)(/|\.h)")

BANNED = [
    (re.compile(r"(?<![\w.>:])(std::)?(exit|abort|quick_exit|terminate)\("), "return a Status (core/status.h) or use HELM_CHECK"),
    (re.compile(r"(?<![\w.>])(std::)?(printf|puts|putchar)\("), "return the text; only tools/ print"),
    (re.compile(r"\bfprintf\((stdout|stderr)"), "return the text; only tools/ print"),
    (re.compile(r"\bstd::(cout|cerr|clog)\b"), "return the text; only tools/ print"),
    (re.compile(r"(?<![\w.>:])(std::)?(rand|srand)\("), "pass a seeded generator (core/random.h), so that runs repeat"),
    (re.compile(r"\bstd::random_device\b"), "pass a seeded generator (core/random.h), so that runs repeat"),
    (re.compile(r"\busing namespace std\b"), "name what you use"),
]
EVERYWHERE = [
    (re.compile(r"\b(FIXME|XXX)\b"), "finish it, or say in the documentation what is missing"),
    (re.compile(r"/work/(main|shared)|/root/|/home/\w+/"), "no path of one machine in the repository"),
]
# Where a rule does not hold, and why.
EXCEPTIONS = {
    ("core/check.h", "abort"),  # it is HELM_CHECK
    ("core/check.h", "fprintf"),
}


class Modules:
    """Which modules each module's headers and sources may include: read from the helm_module() calls."""

    def __init__(self, root):
        self.public, self.all = {}, {}
        for path in sorted(root.glob("*/CMakeLists.txt")):
            call = re.search(r"helm_module\(NAME (\w+)(.*?)\)", path.read_text(), re.S)
            if call:
                lists = keyword_lists(call[2].split(), ("SRCS", "DEPS", "PRIVATE_DEPS", "LIBS", "PRIVATE_LIBS"))
                self.public[call[1]] = {call[1], *lists["DEPS"]}
                self.all[call[1]] = {call[1], *lists["DEPS"], *lists["PRIVATE_DEPS"]}

    def allowed(self, root, path):
        """Module names that `path` may include, or None when everything goes."""
        folder = path.parts[0]
        if folder == "tests" and len(path.parts) > 2 and path.parts[1] in self.all:
            allowed = {"support", *self.all[path.parts[1]]}
            extra = root / "tests" / path.parts[1] / "CMakeLists.txt"
            return allowed | set(re.findall(r"\w+", extra.read_text())) if extra.exists() else allowed
        if folder not in self.all or folder in PROGRAMS:
            return None
        return self.public[folder] if path.suffix == ".h" else self.all[folder]


def keyword_lists(words, keywords):
    lists, current = {keyword: [] for keyword in keywords}, None
    for word in words:
        if word in lists:
            current = word
        elif current:
            lists[current].append(word)
    return lists


def without_comments(text):
    """The same lines with comments and the contents of literals blanked."""

    def blank(match):
        token = match[0]
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        return token[0] + re.sub(r"[^\n]", " ", token[1:-1]) + token[-1]

    pattern = (r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'')
    return re.sub(pattern, blank, text, flags=re.S)


def long_functions(code):
    """(line, length) of function bodies over the limit. A body is a `{` after a parameter list, outside any other body."""
    stack, start, body_depth = [], 0, None
    for match in re.finditer(r"[{};]", code):
        position = match.start()
        if match[0] == "{":
            stack.append(position)
            head = code[start:position].strip()
            is_function = re.search(r"\)\s*(const|noexcept|override|final|mutable|->[^;]*|:[^;]*|&&?|\s)*$", head, re.S) and not re.match(
                r"(namespace|struct|class|enum|union|extern)\b", head)
            if body_depth is None and is_function:
                body_depth = len(stack)
        elif match[0] == "}" and stack:
            opened = stack.pop()
            if body_depth == len(stack) + 1:
                body_depth = None
                length = code.count("\n", opened, position) + 1
                if length > FUNCTION_LINES:
                    yield code.count("\n", 0, opened) + 1, length
        if body_depth is None:
            start = position + 1


def check_includes(path, lines, allowed):
    for number, line in enumerate(lines, 1):
        include = re.match(r'\s*#\s*include\s*(["<])([^">]+)', line)
        if not include:
            continue
        quoted, name = include[1] == '"', include[2]
        if ".." in name.split("/"):
            yield number, f'#include "{name}": name it from the module, "module/file.h"'
        elif FOREIGN.match(name) and "runtime" not in path.parts[:2] and path.as_posix() != "bench/interpreter_bench.cc":
            yield number, f"#include <{name}>: torch and CUDA are seen by runtime/ alone; go through a header of runtime/"
        elif quoted and "/" not in name and path.parts[0] in PROGRAMS:
            continue  # a fixture beside the test
        elif quoted and allowed is not None and name.split("/")[0] not in allowed:
            module = path.parts[0] if path.parts[0] != "tests" else "/".join(path.parts[:2])
            yield number, f'#include "{name}": {module} may include only {", ".join(sorted(allowed))} ({module}/CMakeLists.txt)'


def check_own_header(path, text, root):
    """x.cc includes x.h before all else: that is the proof that x.h compiles alone (cmake/HeaderTest.cmake)."""
    header = path.with_suffix(".h")
    if path.suffix != ".cc" or path.parts[0] in PROGRAMS or not (root / header).exists():
        return
    first = re.search(r'^#include\s*["<]([^">]+)', text, re.M)
    if not first or first[1] != header.as_posix():
        yield text.count("\n", 0, first.start()) + 1 if first else 1, f'include "{header.as_posix()}" first, so that it is compiled alone'


def check_cpp(path, text, allowed, root=pathlib.Path(".")):
    lines = text.splitlines()
    code = without_comments(text)
    yield from check_includes(path, lines, allowed)
    yield from check_own_header(path, text, root)
    if len(lines) > FILE_LINES:
        yield len(lines), f"{len(lines)} lines, at most {FILE_LINES}: split it by subject"
    for line, length in long_functions(code):
        yield line, f"function of {length} lines, at most {FUNCTION_LINES}: split it by step"
    if path.suffix == ".h" and "#pragma once" not in text:
        yield 1, "no #pragma once"
    if path.parts[0] not in PROGRAMS:
        for number, line in enumerate(code.splitlines(), 1):
            for pattern, instead in BANNED:
                found = pattern.search(line)
                if found and not any(path.as_posix() == file and word in found[0] for file, word in EXCEPTIONS):
                    yield number, f"{found[0].rstrip('(')}: {instead}"


def check_any(path, text):
    if path.name == pathlib.Path(__file__).name:
        return
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in EVERYWHERE:
            found = pattern.search(line)
            if found:
                yield number, f"{found[0]}: {instead}"


def tracked_files(root):
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False)
    if listing.returncode == 0 and listing.stdout:
        return [pathlib.Path(name) for name in listing.stdout.decode().split("\0") if name]
    return [path.relative_to(root) for path in sorted(root.rglob("*")) if path.parts[len(root.parts)] not in ("build", ".venv", ".git")]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    modules, errors, checked = Modules(root), 0, 0
    own = (".cc", ".h", ".py", ".cmake", ".md", ".sh", ".txt", ".json", ".yaml", "")
    for path in tracked_files(root):
        full = root / path
        if path.suffix not in own or not full.is_file() or path.parts[0] in ("traces", "configs"):
            continue
        text = full.read_text(errors="replace")
        found = list(check_any(path, text))
        if path.suffix in (".cc", ".h"):
            found += check_cpp(path, text, modules.allowed(root, path), root)
        checked += 1
        for line, message in found:
            print(f"{path}:{line}: error: {message}")
        errors += len(found)
    print(f"{checked} files, {errors} errors", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
