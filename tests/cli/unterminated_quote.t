# A quote that is never closed; yaml-cpp would read on to the end of the file.
$ helm-sim unterminated_quote.yaml
unterminated_quote.yaml:4:23: error: this quote is not closed on its line
    4 | software: {framework: "helm}
      |                       ^
  fix: add the closing "
[exit 2]
