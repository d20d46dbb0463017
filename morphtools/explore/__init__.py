"""Representations in, tables and pictures out: neighbours, maps, clusters, artefacts, outliers."""
