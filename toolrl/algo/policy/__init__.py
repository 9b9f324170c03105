"""The losses of `algo.loss`, one file each; `toolrl.algo.policy_loss` is their door."""
