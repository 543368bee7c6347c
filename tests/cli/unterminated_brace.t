# A brace that is never closed.
$ helm-sim unterminated_brace.yaml
unterminated_brace.yaml:4:11: error: this '{' is not closed
    4 | strategy: {data: 2, tensor: 1
      |           ^
unterminated_brace.yaml:4:29: error: a value that goes on over several lines
    4 | strategy: {data: 2, tensor: 1
      |                             ^
  fix: write it on one line, or check the indentation and the colons of the lines below
[exit 2]
