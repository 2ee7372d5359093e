"""The leaderboard as one HTML file that needs no network, and as CSV, Markdown, LaTeX and JSON."""
