# A config.json that is not JSON.
$ helm-sim broken_model.yaml
broken.json:3:21: error: this is not JSON: syntax error while parsing object key - unexpected ','; expected string literal
    3 |   "hidden_size": 64,,
      |                     ^
[exit 2]
