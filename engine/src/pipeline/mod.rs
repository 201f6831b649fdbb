//! Bytes on their way: a survey feeds workers, workers read, digest and write, batches are
//! published. Knows endpoints by their contract only.

pub mod archive;
pub mod compare;
pub mod confirm;
pub mod content;
pub mod copy;
pub mod delete;
pub mod feed;
pub mod gather;
mod hashers;
mod hedge;
pub mod join;
pub mod lane;
pub mod lease;
pub mod leftovers;
pub mod links;
pub mod manifest;
pub mod pack;
pub mod parts;
pub mod publish;
pub mod receipts;
pub mod recode;
pub mod removal;
pub mod served;
pub mod single;
pub mod transfer;
pub mod unpack;
