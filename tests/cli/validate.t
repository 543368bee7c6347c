# Published runs: predicted rows by source, and why others are not.
$ helm-validate ../../validation/sample.yaml --only no-such-row
error: no row's source or id contains 'no-such-row'
[exit 2]
$ helm-validate ../../validation/sample.yaml --explain no-such-row
error: no row has the id 'no-such-row'
[exit 2]
$ helm-validate good.yaml
...
[exit 2]
$ helm-validate ../../validation/sample.yaml --only sample-not-published
step time, error in %; order: share of pairs of strategies ranked right; regret of the strategy HELM would pick
source                      rows predicted     mape   median      p90    worst     bias   order   regret      max in band
sample                         0         0        -        -        -        -        -       -        -        -       -
all                            0         0        -        -        -        -        -       -        -        -       -

not predicted
    1  not published: cluster.gpus, cluster.nodes, model.vocab, strategy.data
