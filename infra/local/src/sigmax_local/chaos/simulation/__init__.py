"""The real handlers over a world in memory, in virtual time, with every fault drawn from one seed."""
