"""Nothing of the assignment wing is kept in PostgreSQL yet."""
