"""The stack without Docker: private servers, a supervisor of the nine services, and the `sigmax` command."""
