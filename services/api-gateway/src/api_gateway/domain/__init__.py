"""Pure decisions of the gateway: who may what, what a page is, what a command says."""
