"""What a configuration needs of a cluster, before anything starts: memory by role and phase, seconds of a step, GPU-hours of a run."""
