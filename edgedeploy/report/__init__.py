"""Show runs to people: HTML page, terminal summary, comparison of two runs, pictures of what the model saw."""
