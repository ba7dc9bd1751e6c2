"""Are the tests of the rules sharp? Every constant and comparison of the rules is changed, one at a time."""
