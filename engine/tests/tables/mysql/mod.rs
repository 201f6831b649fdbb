//! MySQL and MariaDB.

mod charsets;
mod dates;
mod logins;
mod reading;
mod scratch;
mod snapshots;
mod values;
mod writing;
