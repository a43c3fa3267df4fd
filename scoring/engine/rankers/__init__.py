"""One ranker a file; a torch ranker keeps trainer and scorer apart."""
