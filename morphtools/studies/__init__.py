"""Tests of methods: learning curves, ablations, benchmarks, redshifts compared with baselines."""
