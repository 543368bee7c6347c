# A byte that is not UTF-8.
$ helm-sim not_utf8.yaml
not_utf8.yaml:4:24: error: byte 0xe9 is not UTF-8
    4 | software: {framework: h\xe9lm}
      |                        ^
  fix: save the file as UTF-8
[exit 2]
