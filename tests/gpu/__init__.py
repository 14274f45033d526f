"""Tests of models on a real GPU, for a machine that has one."""
