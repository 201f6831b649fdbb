//! What is about tables and not about one database.
