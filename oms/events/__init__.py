"""What happened: every event the log can hold. `docs.md` beside this file is the table of them."""
