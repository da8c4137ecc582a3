"""Our own widgets: each a small Python class over gr.HTML with its script beside it."""
