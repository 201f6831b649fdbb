//! What SQL dialects share: quoting, statements of schemas, ranges, the ledger.
