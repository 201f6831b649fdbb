//! The endpoint contract on top of an object store's verbs: what is the same for every store.
//!
//! A dialect implements [`verbs::Store`]; everything else of an endpoint is here.

pub mod verbs;
