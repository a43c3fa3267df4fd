"""The main job on a demonstration shop: import, train, test, decide, ship."""
