"""Channel name to exactly one running agent: the only package that knows processes."""
