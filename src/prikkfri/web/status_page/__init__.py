"""The public status page: stands when nothing else does, and never says more than is known."""
