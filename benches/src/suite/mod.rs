//! What is measured, one file each.

pub mod compress;
mod engine;
pub mod files;
pub mod hash_tree;
pub mod hello;
pub mod s3;
pub mod serve;
mod setting;
pub mod small_files;
pub mod tables;

pub use setting::Setting;
