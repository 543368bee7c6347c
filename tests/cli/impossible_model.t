# An inline model whose sizes contradict each other.
$ helm-sim impossible_model.yaml
impossible_model.yaml:1:63: error: `heads` 4 does not divide `hidden` 63
    1 | model: {family: llama, layers: 2, hidden: 63, ffn: 97, heads: 4, kv_heads: 3, vocab: 256, max_positions: 512}
      |                                                               ^
  fix: choose a divisor of hidden, or give `head_dim`
[exit 2]
