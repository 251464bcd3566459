"""The server's own page, at ``/``: static files without a build step, and the requests that only they make."""
