"""Static word vectors as a third-party Graftwork plugin."""
