"""A small audio encoder whose weights come with the install."""
