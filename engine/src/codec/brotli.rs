//! Brotli: one stream, since the form has no members, no magic bytes and no checksum.

use std::io::Write as _;

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, CompressorWriter};

use super::contract::{
    Codec, Extent, Grant, Levels, MemberDecoder, Packing, Step, StreamCoder, StreamDecoder,
    corrupt, refused,
};
use crate::error::Result;

/// The row of this form.
pub static CODEC: Codec = Codec {
    name: "brotli",
    endings: &[".br"],
    levels: Levels { least: 0, most: 11, usual: 5 },
    packing: Packing::Stream(|level| Ok(Box::new(Coder::new(level)))),
    coder_bytes: |level| if level > 9 { 160 << 20 } else { 48 << 20 },
    is_magic: |_| false,
    decoder: |_| Ok(Box::new(Stream::new())),
    decoder_bytes: |_| STREAM_BYTES,
    extent: |_| Ok(Extent::Unknown),
    member_decoder: || Ok(Box::new(Members)),
};

/// Window of what is written: 4 MiB, as the tool has it.
const WINDOW_LOG: u32 = 22;
const BUFFER_BYTES: usize = 64 << 10;
/// Greatest window of the form, 16 MiB, and the decoder's tables.
const STREAM_BYTES: u64 = 18 << 20;

struct Coder(CompressorWriter<Vec<u8>>);

impl Coder {
    fn new(level: u32) -> Self {
        Self(CompressorWriter::new(Vec::new(), BUFFER_BYTES, level, WINDOW_LOG))
    }
}

impl StreamCoder for Coder {
    fn take(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.0.write_all(plain).map_err(|why| refused("brotli", why))?;
        out.append(self.0.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let last = CompressorWriter::new(Vec::new(), 0, 0, WINDOW_LOG);
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
        if !self.granted {
            grant(STREAM_BYTES)?;
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
