"""Runs looked at afterwards: samples explained, rollouts judged again. Each result is a value; its page and its JSON are made from it."""
