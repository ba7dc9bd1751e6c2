"""The shell: everything that touches the world. The core inside it is pure."""
