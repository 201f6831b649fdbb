//! Brotli: one stream, since the form has no members, no magic bytes and no checksum.

use std::io::Write as _;

use brotli::enc::{BrotliEncoderParams, StandardAlloc};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, CompressorWriter};

use super::contract::{
    Codec, Extent, Grant, Levels, MemberDecoder, Packing, Step, StreamCoder, StreamDecoder, Table,
    corrupt, refused,
};
use crate::error::Result;

/// The row of this form.
pub static CODEC: Codec = Codec {
    name: "brotli",
    endings: &[".br"],
    levels: Levels { least: 0, most: 11, usual: 5 },
    table: Table::Untold,
    packing: Packing::Stream(|level| Ok(Box::new(Coder::new(level)))),
    coder_bytes,
    is_magic: |_| false,
    decoder: |_| Ok(Box::new(Stream::new())),
    decoder_bytes: |head| head.first().map_or(0, |first| stream_bytes(*first)),
    extent: |_| Ok(Extent::Unknown),
    member_decoder: || Ok(Box::new(Members)),
};

/// Window of what is written: 4 MiB, as the tool has it.
const WINDOW_LOG: i32 = 22;
/// What the encoder is told about the size: without it, it keeps its tables small.
const SIZE_HINT_BYTES: usize = 1 << 30;
const BUFFER_BYTES: usize = 64 << 10;
/// What a decoder takes beside its window, bytes.
const TABLES_BYTES: u64 = 2 << 20;

/// Resident memory seen while 20 MB of a log were packed, rounded up.
fn coder_bytes(level: u32) -> u64 {
    match level {
        ..=1 => 4 << 20,
        2..=3 => 12 << 20,
        4..=5 => 32 << 20,
        6..=8 => 48 << 20,
        9 => 64 << 20,
        _ => 128 << 20,
    }
}

/// What a decoder takes, told by the first byte, which holds the size of the window (RFC 7932,
/// 9.1).
fn stream_bytes(first: u8) -> u64 {
    let log = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, n) => 8 + n,
        (_, n, _) => 17 + n,
    };
    (1 << log) + TABLES_BYTES
}

struct Coder(CompressorWriter<Vec<u8>>);

impl Coder {
    fn new(level: u32) -> Self {
        let params = BrotliEncoderParams {
            quality: level as i32,
            lgwin: WINDOW_LOG,
            size_hint: SIZE_HINT_BYTES,
            ..BrotliEncoderParams::default()
        };
        Self(CompressorWriter::with_params(Vec::new(), BUFFER_BYTES, &params))
    }
}

impl StreamCoder for Coder {
    fn take(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.0.write_all(plain).map_err(|why| refused("brotli", why))?;
        out.append(self.0.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let last = CompressorWriter::new(Vec::new(), 0, 0, WINDOW_LOG as u32);
        out.append(&mut std::mem::replace(&mut self.0, last).into_inner());
        Ok(())
    }
}

struct Members;

impl MemberDecoder for Members {
    fn unpack(&mut self, _stored: &[u8], _plain: &mut [u8]) -> Result<()> {
        Err(corrupt("brotli has no members"))
    }
}

struct Stream {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    granted: bool,
    ended: bool,
}

impl Stream {
    fn new() -> Self {
        let alloc = StandardAlloc::default;
        let state = BrotliState::new(alloc(), alloc(), alloc());
        Self { state: Box::new(state), granted: false, ended: false }
    }
}

impl StreamDecoder for Stream {
    fn step(&mut self, input: &[u8], output: &mut [u8], grant: Grant<'_>) -> Result<Step> {
        if let (false, Some(first)) = (self.granted, input.first()) {
            grant(stream_bytes(*first))?;
            self.granted = true;
        }
        if self.ended {
            return match input.is_empty() {
                true => Ok(Step::default()),
                false => Err(corrupt("bytes follow that belong to no brotli stream")),
            };
        }
        let (mut input_left, mut taken) = (input.len(), 0);
        let (mut output_left, mut given, mut total) = (output.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut input_left,
            &mut taken,
            input,
            &mut output_left,
            &mut given,
            output,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => return Err(corrupt("the brotli stream is damaged")),
            BrotliResult::ResultSuccess => self.ended = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(Step { taken, given })
    }

    fn may_end(&self) -> bool {
        self.ended
    }
}
