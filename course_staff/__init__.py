"""What only authors and teachers run: build the notebooks from their sources, grade submissions."""
