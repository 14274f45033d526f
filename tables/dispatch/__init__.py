"""Dispatch: which executor gets which ready step, and when. Pure values beside the reducer: no clock, no I/O."""
