//! Web servers as sources: `http://` and `https://`.
