#!/usr/bin/env python3
"""Makes a token shard (docs/formats/token_shard.md) of text files: one token a byte, 256 as the end of each document.

Deterministic: the same texts give the same bytes. Needs only Python's standard library.

    scripts/make_text_corpus.py [--out build/data/english.bin] [TEXT...]     (default: configs/data/alice.txt)
"""

import argparse
import os
import pathlib
import struct
import sys

MAGIC, VERSION, HEADER_WORDS = 20240520, 1, 256  # as in llm.c: uint16 tokens
END_OF_DOCUMENT = 256
ROOT = pathlib.Path(__file__).resolve().parent.parent


def shard(documents):
    tokens = [token for document in documents for token in (*document, END_OF_DOCUMENT)]
    header = [MAGIC, VERSION, len(tokens)] + [0] * (HEADER_WORDS - 3)
    return struct.pack(f"<{HEADER_WORDS}i", *header) + struct.pack(f"<{len(tokens)}H", *tokens)


def write_atomically(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/data/english.bin")
    parser.add_argument("texts", nargs="*", type=pathlib.Path, default=[ROOT / "configs/data/alice.txt"])
    arguments = parser.parse_args()
    try:
        documents = [path.read_bytes() for path in arguments.texts]
    except OSError as error:
        sys.exit(f"{error.filename}: error: {error.strerror}")
    write_atomically(arguments.out, shard(documents))
    print(f"{arguments.out}: {sum(len(document) + 1 for document in documents)} tokens of {len(documents)} text(s)")


if __name__ == "__main__":
    main()
