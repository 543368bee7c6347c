# Anchors, merge keys and tags.
$ helm-sim anchors.yaml
anchors.yaml:4:11: error: anchors (`&name`) are not allowed
    4 | strategy: &s {data: 2}
      |           ^
  fix: remove the anchor and write values out where they are used
anchors.yaml:5:10: error: merge keys (`<<`) are not allowed
    5 | search: {<<: {time_limit_s: 1}}
      |          ^
  fix: write the keys out
anchors.yaml:6:12: error: tags (`!name`) are not allowed
    6 | tolerance: !!map {step_time: 0.1}
      |            ^
  fix: remove the tag
[exit 2]
