"""What Everruns Sessions is measured against, each as its own community would write it."""
