"""Time series as a third-party Graftwork plugin: a modality that the core and the other plugins know nothing of."""
