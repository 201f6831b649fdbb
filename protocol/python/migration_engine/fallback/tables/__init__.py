"""Tables of databases: SQLite to SQLite, by the standard library alone."""
