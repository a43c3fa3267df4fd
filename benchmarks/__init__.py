"""One benchmark a file; ``make bench BENCH=name`` runs it."""
