# A cluster of several kinds of nodes: which stages lie where, the faster with more layers; and who does not know such clusters.
$ helm-plan groups.yaml --set strategy.tensor=1 --set strategy.micro_batch=1 --set strategy.pipeline=2 --set strategy.zero=1 --set strategy.schedule=1f1b --out $TMP/plan.yaml 2> /dev/null | grep -E -o 'stages of .*|^groups.*|of [a-z0-9]+, which has least left' | sed -E 's/ 1[0-9] [3-6],/ MORE LESS,/'
stages of MORE LESS, groups h100 a100
groups         stages 0 on h100, 1 on a100
of h100, which has least left
stages of 4 12, groups a100 h100: +2.4 %: 28.45 ms more bubble
stages of MORE LESS, groups h100 a100
stages of 4 12, groups a100 h100
$ grep -E '  groups: |    - name:' $TMP/plan.yaml
    - name: a100
    - name: h100
  groups: [h100, a100]
$ helm-sim $TMP/plan.yaml --json 2> /dev/null | grep -E '"(group|fits|capacity_bytes)"'
    "fits": true,
      "capacity_bytes": 79847092755,
      "group": "h100"
$ helm-sim groups.yaml --set strategy.data=16 2> /dev/null | grep -E '^groups'
groups         stage 0 on a100 + h100
$ helm-plan what-if $TMP/plan.yaml --set cluster.between.gbits_per_s=10 2> /dev/null | grep -E -c '^step time'
1
$ helm-sim groups.yaml --set strategy.data=16 --set 'strategy.groups=[h100, b200]'
--set strategy.groups=[h100, b200]: error: 'groups' of the strategy must name each group of the cluster 'a100+h100' once
  found: h100, b200
  allowed: a100, h100
  fix: name them in the order in which the ranks fill them, or leave it out
[exit 2]
$ helm-plan groups.yaml --set 'search={objective: gpus, tokens: 1000000000, deadline_days: 5}'
--set search={objective: gpus, tokens: 1000000000, deadline_days: 5}: error: not supported by this version: objectives that ask for parts of a cluster of several kinds of nodes
  allowed: step_time, on all of it
[exit 2]
$ helm-plan $TMP/plan.yaml --export megatron
error: megatron cannot express a cluster of several kinds of nodes: it places ranks on nodes that are alike; only helm-plan and helm-sim know groups
[exit 2]
