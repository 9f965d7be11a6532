"""From checked clips to finished deliverables: made, measured, judged, described."""
