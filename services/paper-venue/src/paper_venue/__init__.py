"""An exchange for paper trading and tests: it speaks the Binance spot dialect over real or replayed prices."""
