"""Pure decisions that only order-worker makes."""
