//! Sqlite.

use crate::endpoint::Database;
use crate::error::{EngineError, Kind};

/// The registry's entry.
pub const DATABASE: Database = Database {
    schemes: &["sqlite"],
    options: &["tls_ca", "tls_insecure"],
    source: |_, _| Err(EngineError::new(Kind::Unsupported, "not built")),
    sink: |_, _| Err(EngineError::new(Kind::Unsupported, "not built")),
};
