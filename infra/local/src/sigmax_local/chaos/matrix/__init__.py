"""F01 to F26 over real servers: three order-worker processes, the paper venue, and faults between them."""
