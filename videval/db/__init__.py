"""The results database: tables, sessions, and every query."""
