"""What proves a method: learning curves, ablations, benchmarks, redshifts against baselines."""
