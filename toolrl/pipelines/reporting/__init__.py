"""The page about runs: what was recorded, which groups are shown, and how both become one HTML file or answers to a browser."""
