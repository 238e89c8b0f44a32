"""Languages on the core, side by side. A door imports core, policy, service, net and store; never another door."""
