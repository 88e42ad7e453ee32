"""The database's history: one step a file in ``versions``, each by itself, as tables go on changing after it."""
