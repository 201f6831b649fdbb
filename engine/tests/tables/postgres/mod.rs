//! PostgreSQL, against the server of `TEST_PG_URL`. What came of a call is judged by `psql`.

mod catalogue;
mod census;
mod hostile;
mod ledger;
mod logins;
mod scratch;
mod snapshot;
mod split;
mod values;
mod writing;
