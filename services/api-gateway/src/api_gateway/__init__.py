"""The one published port: people read everything here, and change things only by message."""
