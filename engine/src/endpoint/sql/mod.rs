//! What SQL dialects share: quoting, statements of schemas, ranges, the ledger. Knows no session.

pub mod dialect;
pub mod ledger;
pub mod range;
pub mod schema;
pub mod turn;
