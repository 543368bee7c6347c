# Two documents in one file; none; one that is no mapping.
$ helm-sim two_documents.yaml
two_documents.yaml:4:1: error: a second document in the file
    4 | ---
      | ^
  fix: put each document in a file of its own
[exit 2]
$ helm-sim empty.yaml
empty.yaml: error: the file is empty
  fix: write `key: value` lines
[exit 2]
$ helm-sim no_mapping.yaml
no_mapping.yaml:1:1: error: a run configuration must be a mapping (`key: value` lines)
    1 | [1, 2]
      | ^
[exit 2]
