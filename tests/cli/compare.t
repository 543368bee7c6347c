# Timelines that are no timelines.
$ helm-compare none.json none.json
none.json: error: cannot open: No such file or directory
[exit 2]
$ helm-compare table_version.json table_version.json
table_version.json: error: format 'helm-cost-table/9' is not known; this HELM reads helm-timeline/1
[exit 2]
$ helm-compare table_cut_off.json table_cut_off.json
table_cut_off.json:1:37: error: this is not JSON: syntax error while parsing object key - invalid string: missing closing quote; last read: '"dev'; expected string literal
    1 | {"format": "helm-cost-table/1", "dev
      |                                     ^
[exit 2]
