"""What tests of all services need: clean servers and services as processes. See `sigmax_local.testing`."""
