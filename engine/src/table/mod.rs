//! What is about tables and not about one database: what goes where as what, what of it would be
//! lost, how spans are copied and proven.

pub mod cast;
pub mod census;
pub mod choice;
pub mod compare;
pub mod copy;
pub mod digest;
mod finish;
pub mod fit;
pub mod lag;
pub mod leftover;
pub mod mapping;
pub mod mask;
pub mod naming;
pub mod readback;
pub mod rejects;
pub mod resume;
pub mod retry;
pub mod shown;
pub mod span;
pub mod standing;
mod value;
mod words;
