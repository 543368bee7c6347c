# A brace that is never closed.
$ helm-sim unterminated_brace.yaml
unterminated_brace.yaml:4:11: error: this '{' is not closed
    4 | strategy: {data: 2, tensor: 1
      |           ^
  fix: add the closing }
[exit 2]
