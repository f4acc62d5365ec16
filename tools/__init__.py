"""Programs that write files in docs/."""
