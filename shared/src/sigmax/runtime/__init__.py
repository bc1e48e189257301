"""What every service does the same way: settings, logs, traces, health, messaging, storage."""
