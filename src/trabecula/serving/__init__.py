"""The doors to a screening. Adapters without medical logic."""
