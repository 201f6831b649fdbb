//! Proves who asks: one file for each scheme of signatures. What is signed with comes from a
//! [`source::Source`], so that it may be found late and renewed; nothing here prints it.

pub mod bearer;
pub mod canonical;
pub mod reach;
pub mod sas;
pub mod shared_key;
pub mod sigv4;
pub mod source;
