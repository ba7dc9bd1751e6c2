"""How the database got its shape, step by step. Applied by eventlog.schema; never edited once released."""
