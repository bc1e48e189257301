"""What every Sigma-X service shares: messages, pure decisions, and the runtime."""
