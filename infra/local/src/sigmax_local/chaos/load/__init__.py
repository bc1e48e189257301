"""A load that goes on while services are killed at random: nothing is lost, and the slowest orders are told."""
