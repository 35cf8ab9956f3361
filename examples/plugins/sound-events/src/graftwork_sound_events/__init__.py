"""Sound events for Graftwork: what is heard in a clip, and from when to when."""
