"""The estimators of `algo.advantage`, one file each; `toolrl.algo.advantage` is their door."""
