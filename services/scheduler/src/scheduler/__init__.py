"""The clock: jobs from Postgres, each slot run once, and the health check of all services."""
