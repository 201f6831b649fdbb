//! Compressed forms: blocks of memory in, blocks of memory out. No I/O and no threads.
//!
//! Every form but brotli is written as members that are decoded by themselves and stand behind
//! each other, which the form's own tools read as one file: so blocks are packed at the same time
//! and written in order, and what was written so is unpacked at the same time too.
//!
//! # To use
//! - One file on one thread: [`Encoder`] and [`Decoder`] take chunks in order and give bytes.
//! - Many threads: a [`MemberCoder`](contract::MemberCoder) for each thread packs one block at a
//!   time; [`Codec::extent`] cuts stored bytes into members for
//!   [`MemberDecoder`](contract::MemberDecoder)s.

mod brotli;
pub mod contract;
mod decoder;
mod encoder;
mod frames;
mod gather;
mod gzip;
mod lz4;
mod sample;
mod zstd;

pub use contract::{Caps, Codec, Extent, Frame, Grant, Levels, Packing, Table};
pub use decoder::Decoder;
pub use encoder::{Encoder, Packed};
pub use frames::{
    SEEK_TABLE_FOOTER_BYTES, SKIPPABLE_HEAD_BYTES, SeekTable, is_skippable, seek_table, skippable,
};

/// Every form, in the order in which magic bytes are tried.
pub static CODECS: [&Codec; 4] = [&gzip::CODEC, &zstd::CODEC, &lz4::CODEC, &brotli::CODEC];

/// The form of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Codec> {
    CODECS.into_iter().find(|codec| codec.name == name)
}

/// The form that stored bytes begin like; `None` where none has this mark. Brotli has no mark.
#[must_use]
pub fn by_magic(head: &[u8]) -> Option<&'static Codec> {
    CODECS.into_iter().find(|codec| (codec.is_magic)(head))
}

/// The form that a file's name ends like, in any case.
#[must_use]
pub fn by_ending(name: &[u8]) -> Option<&'static Codec> {
    let name = name.to_ascii_lowercase();
    let ends = |codec: &&Codec| codec.endings.iter().any(|end| name.ends_with(end.as_bytes()));
    CODECS.into_iter().find(ends)
}
