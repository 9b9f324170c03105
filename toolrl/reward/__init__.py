"""The verifier, reward variants, and the audit of both."""
