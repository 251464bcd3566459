"""Scripts of the project: pictures, and measurements of the design."""
