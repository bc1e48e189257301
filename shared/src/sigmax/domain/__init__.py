"""Pure trading rules that two services, or a service and a backtest, apply alike."""
