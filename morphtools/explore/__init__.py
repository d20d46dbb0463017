"""From representations to tables and pictures: neighbours, maps, clusters, artefacts, outliers."""
