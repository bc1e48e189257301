"""The shapes that the API answers with: the contract that OpenAPI shows. Decimals are strings, times are UTC."""
