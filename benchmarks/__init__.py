"""What the package costs, measured side by side with what one would otherwise write: one module per table."""
