"""Pure decisions that only this service makes."""
