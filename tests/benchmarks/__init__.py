"""Measurements of speed and memory against the published targets: `python3 -m oms bench`.

A target that has a physical limit is measured in turns with that limit, so that a busy machine slows both and the
ratio holds. Absolute figures of a busy machine do not; the report therefore says how busy it was.
"""
