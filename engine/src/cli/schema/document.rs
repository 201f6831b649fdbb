//! The documents of `protocol/schema/v1`.

use serde_json::Value;

use crate::cli::schema::{commands, errors, events, ops};

/// A document of the schema.
pub struct Document {
    /// Its name: the file is `NAME.json`.
    pub name: &'static str,
    /// Its content.
    pub content: fn() -> Value,
}

/// Every document.
pub static DOCUMENTS: [Document; 4] = [
    Document { name: "commands", content: commands::schema },
    Document { name: "errors", content: errors::list },
    Document { name: "events", content: events::schema },
    Document { name: "ops", content: ops::list },
];

impl Document {
    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", (self.content)())
    }
}

/// The dialect both schemas are written in.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
