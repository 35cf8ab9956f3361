"""A task of any number of tags for an example, `red|round`: each tag is a question of its own."""
