# A configuration that does not exist, and a folder in its place.
$ helm-sim none.yaml
none.yaml: error: cannot open: No such file or directory
[exit 2]
$ helm-plan .
.: error: this is a folder, a file is needed
[exit 2]
