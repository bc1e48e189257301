"""What touches the world: Postgres, Redis, metrics."""
