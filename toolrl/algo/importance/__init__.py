"""The corrections of `algo.importance`, one file each; `toolrl.algo.importance_weights` is their door."""
