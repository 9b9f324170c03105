"""Parts of `toolrl audit RUN`."""
