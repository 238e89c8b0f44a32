"""What every folder shares lies in `support`; README.md tells the reading order."""
