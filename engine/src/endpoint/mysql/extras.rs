//! Checks, and what is no table.

use crate::error::Result;
use crate::model::catalog::{Check, Other};

use super::catalog::own_name;
use super::session::Session;

/// Check constraints with the tables they are of.
///
/// # Errors
/// Those of the server.
pub(super) fn checks(session: &mut Session) -> Result<Vec<(String, Check)>> {
    let (from, clean) = if session.server.maria {
        ("information_schema.CHECK_CONSTRAINTS c", false)
    } else if session.server.is_at_least((0, 0), (8, 0)) {
        let joined = "information_schema.CHECK_CONSTRAINTS c \
             JOIN information_schema.TABLE_CONSTRAINTS t \
             ON t.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND t.CONSTRAINT_NAME = c.CONSTRAINT_NAME";
        (joined, true)
    } else {
        return Ok(Vec::new());
    };
    let lines = session.lines(&format!(
        "SELECT TABLE_NAME, c.CONSTRAINT_NAME, CHECK_CLAUSE FROM {from} \
         WHERE c.CONSTRAINT_SCHEMA = DATABASE() ORDER BY 1, 2"
    ))?;
    let check = |line: super::session::Line| {
        let mut parts = line.into_iter().flatten();
        let (table, name, text) = (parts.next()?, parts.next()?, parts.next()?);
        let expression = if clean { text.replace("\\'", "'") } else { text };
        Some((table, Check { name, expression }))
    };
    Ok(lines.into_iter().filter_map(check).collect())
}

/// What of a database is no table: each kind with the query for names and definitions.
const OTHERS: [(&str, &str); 8] = [
    ("view", "SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA"),
    (
        "trigger",
        "SELECT TRIGGER_NAME, CONCAT(ACTION_TIMING, ' ', EVENT_MANIPULATION, ' ON ', \
         EVENT_OBJECT_TABLE, ' ', ACTION_STATEMENT) FROM information_schema.TRIGGERS \
         WHERE TRIGGER_SCHEMA",
    ),
    (
        "routine",
        "SELECT ROUTINE_NAME, CONCAT(ROUTINE_TYPE, ' ', COALESCE(ROUTINE_DEFINITION, '')) \
         FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA",
    ),
    (
        "event",
        "SELECT EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS WHERE EVENT_SCHEMA",
    ),
    (
        "sequence",
        "SELECT TABLE_NAME, '' FROM information_schema.TABLES \
         WHERE TABLE_TYPE = 'SEQUENCE' AND TABLE_SCHEMA",
    ),
    (
        "partition",
        "SELECT DISTINCT CONCAT(TABLE_NAME, '.', PARTITION_NAME), PARTITION_METHOD \
         FROM information_schema.PARTITIONS WHERE PARTITION_NAME IS NOT NULL AND TABLE_SCHEMA",
    ),
    (
        "history of rows",
        "SELECT TABLE_NAME, 'WITH SYSTEM VERSIONING' FROM information_schema.TABLES \
         WHERE TABLE_TYPE = 'SYSTEM VERSIONED' AND TABLE_SCHEMA",
    ),
    (
        "collation",
        "SELECT DISTINCT TABLE_NAME, CONCAT('COLLATE ', COLLATION_NAME) \
         FROM information_schema.COLUMNS WHERE COLLATION_NAME IS NOT NULL \
         AND COLLATION_NAME NOT LIKE '%\\_bin' AND TABLE_NAME NOT LIKE 'mig\\_ledger\\_%' \
         AND TABLE_SCHEMA",
    ),
];

/// What is no table.
///
/// # Errors
/// Those of the server.
pub(super) fn others(session: &mut Session) -> Result<Vec<Other>> {
    let mut others = Vec::new();
    for (what, query) in OTHERS {
        for line in session.lines(&format!("{query} = DATABASE() ORDER BY 1"))? {
            let mut parts = line.into_iter();
            let name = own_name(&parts.next().flatten().unwrap_or_default());
            let definition = parts.next().flatten().unwrap_or_default();
            others.push(Other { what, name, definition });
        }
    }
    Ok(others)
}
