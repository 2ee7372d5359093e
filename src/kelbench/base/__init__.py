"""The lowest floor: errors, files, progress, logging, provenance. Imports nothing above it."""
