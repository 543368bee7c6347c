# A config.json with missing keys, wrong types, and heads that do not divide.
$ helm-sim incomplete_model.yaml
incomplete_llama.json:1:1: error: the Hugging Face config needs the key 'num_hidden_layers'
    1 | {
      | ^
  fix: add `num_hidden_layers: ...`
incomplete_llama.json:1:1: error: no `head_dim`, and 5 heads do not divide hidden size 64
    1 | {
      | ^
incomplete_llama.json:5:24: error: 'intermediate_size' must be a whole number, found the text "big"
    5 |   "intermediate_size": "big",
      |                        ^
[exit 2]
