# A tab in the indentation.
$ helm-sim tab.yaml
tab.yaml:5:1: error: a tab in the indentation
    5 |  data: 2
      | ^
  fix: indent with blanks
[exit 2]
