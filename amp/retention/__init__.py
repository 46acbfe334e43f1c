"""How long rows are kept (X5): every kind that doesn't stay for ever, their sweep, and the form of their times."""
