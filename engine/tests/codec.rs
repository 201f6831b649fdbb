//! Every compressed form: what goes in comes out, the usual tools agree, damage never passes.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests make and judge the files they use"
)]

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use migration_engine::codec::{self, CODECS, Caps, Codec, Decoder, Encoder, Extent, Packing};
use migration_engine::error::{Kind, Result};
use migration_fixtures::Content;
use proptest::prelude::*;

/// Text-like bytes, with parts that do not shrink.
fn mixed(bytes: usize, seed: u64) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes);
    let mut random = vec![0; bytes / 3 + 1];
    Content::new(seed, random.len() as u64).fill(0, &mut random);
    for (line, noise) in random.chunks(257).enumerate() {
        let text = format!("2026-11-21 {seed} {line:08} GET /a/{}/b 200 {}\n", line % 97, line * 7);
        for _ in 0..8 {
            all.extend_from_slice(text.as_bytes());
        }
        all.extend_from_slice(noise);
    }
    all.truncate(bytes);
    all.resize(bytes, b'x');
    all
}

fn pack(codec: &Codec, level: u32, plain: &[u8], step: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(codec, level).unwrap();
    let mut out = Vec::new();
    for chunk in plain.chunks(step.max(1)) {
        encoder.take(chunk, &mut out).unwrap();
    }
    let packed = encoder.finish(&mut out).unwrap();
    assert_eq!((packed.plain, packed.stored), (plain.len() as u64, out.len() as u64));
    out
}

fn unpack_within(codec: &Codec, caps: Caps, stored: &[u8], step: usize) -> Result<Vec<u8>> {
    let mut decoder = Decoder::new(codec, caps)?;
    let mut plain = Vec::new();
    let mut scratch = vec![0; 10_007];
    for chunk in stored.chunks(step.max(1)) {
        decoder.take(chunk, &mut scratch, &mut |_| Ok(()), &mut |bytes| {
            plain.extend_from_slice(bytes);
            Ok(())
        })?;
    }
    decoder.finish()?;
    assert_eq!((decoder.taken(), decoder.given()), (stored.len() as u64, plain.len() as u64));
    Ok(plain)
}

fn unpack(codec: &Codec, stored: &[u8], step: usize) -> Result<Vec<u8>> {
    unpack_within(codec, Caps::NONE, stored, step)
}

/// As several threads do it: cut into members, each decoded by itself.
fn unpack_members(codec: &Codec, stored: &[u8]) -> Option<Result<Vec<u8>>> {
    let mut decoder = (codec.member_decoder)().unwrap();
    let mut plain = Vec::new();
    let mut rest = stored;
    while !rest.is_empty() {
        let frame = match (codec.extent)(rest) {
            Ok(Extent::Known(frame)) => frame,
            Ok(_) => return None,
            Err(error) => return Some(Err(error)),
        };
        let (member, behind) = rest.split_at_checked(frame.stored as usize)?;
        rest = behind;
        if frame.plain > 0 || (codec.is_magic)(member) && codec.name == "gzip" {
            let begin = plain.len();
            plain.resize(begin + frame.plain as usize, 0);
            if let Err(error) = decoder.unpack(member, &mut plain[begin..]) {
                return Some(Err(error));
            }
        }
    }
    Some(Ok(plain))
}

fn block_bytes(codec: &Codec) -> usize {
    match codec.packing {
        Packing::Members { block_bytes, .. } => block_bytes,
        Packing::Stream(_) => 1 << 20,
    }
}

#[test]
fn every_size_around_a_block_comes_back() {
    for codec in CODECS {
        let block = block_bytes(codec);
        for size in [0, 1, 65_535, 65_536, block - 1, block, block + 1, 3 * block] {
            let plain = mixed(size, 3);
            let stored = pack(codec, codec.levels.least, &plain, 100_003);
            assert!(unpack(codec, &stored, 65_521).unwrap() == plain, "{} {size}", codec.name);
            if matches!(codec.packing, Packing::Members { .. }) {
                let members = unpack_members(codec, &stored).unwrap().unwrap();
                assert!(members == plain, "{} {size}", codec.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_bytes_in_any_steps_come_back(
        which in 0..4usize,
        plain in proptest::collection::vec(any::<u8>(), 0..3000),
        times in 1..40usize,
        steps in (1..5000usize, 1..5000usize),
    ) {
        let codec = CODECS[which];
        let plain = plain.repeat(times);
        for level in [codec.levels.least, codec.levels.usual] {
            let stored = pack(codec, level, &plain, steps.0);
            prop_assert_eq!(&unpack(codec, &stored, steps.1).unwrap(), &plain);
        }
    }
}

/// A form, a program, how it decodes, and ways in which it encodes.
type Tool =
    (&'static str, &'static str, &'static [&'static str], &'static [&'static [&'static str]]);

/// Runs a filter.
fn through(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}, which scripts/test.sh installs: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut out = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(input)));
        stdout.read_to_end(&mut out).unwrap();
    });
    assert!(child.wait().unwrap().success(), "{program} {arguments:?}");
    out
}

#[test]
fn the_usual_tools_read_ours_and_we_read_theirs() {
    let tools: [Tool; 6] = [
        ("gzip", "gzip", &["-dc"], &[&["-c", "-1"], &["-c", "-9", "-n"]]),
        ("gzip", "pigz", &["-dc"], &[&["-c"], &["-c", "-i", "-b", "128"]]),
        ("zstd", "zstd", &["-dc"], &[&["-c"], &["-c", "--no-check", "-T2"], &["-c", "-19"]]),
        (
            "lz4",
            "lz4",
            &["-dc"],
            &[&["-c"], &["-c", "-B4", "-BD"], &["-c", "-BX", "--no-frame-crc"]],
        ),
        ("lz4", "lz4", &["-dc"], &[&["-c", "-9", "--content-size"]]),
        ("brotli", "brotli", &["-dc"], &[&["-c", "-q", "5"], &["-c", "-q", "9", "-w", "24"]]),
    ];
    for size in [0, 1, 100_000, 5_000_001] {
        let plain = mixed(size, 5);
        for (name, program, reads, writes) in tools {
            let codec = codec::by_name(name).unwrap();
            let ours = pack(codec, codec.levels.usual, &plain, 1 << 20);
            assert!(through(program, reads, &ours) == plain, "{program} of ours, {size}");
            for arguments in writes {
                let theirs = through(program, arguments, &plain);
                let read = unpack(codec, &theirs, 65_521).unwrap();
                assert!(read == plain, "{program} {arguments:?}, {size}");
                let twice = [theirs.clone(), theirs].concat();
                if name != "brotli" {
                    let read = unpack(codec, &twice, 1 << 20).unwrap();
                    assert!(read == [&plain[..], &plain].concat(), "{program}: two members");
                }
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for codec in CODECS {
        let plain = mixed(1500, 7);
        let stored = pack(codec, codec.levels.usual, &plain, 1 << 20);
        let whole = [0];
        // Without its seek table a zstd file is still whole.
        let ends: &[usize] = match codec.name {
            "zstd" => &[stored.len() - 8 - 8 - 9, stored.len()],
            _ => &whole,
        };
        for end in 0..stored.len() {
            match unpack(codec, &stored[..end], 13) {
                Ok(read) => assert!(ends.contains(&end) && read == plain, "{} {end}", codec.name),
                Err(error) => {
                    assert_eq!(error.kind(), Kind::SourceCorrupt, "{} {end}: {error}", codec.name);
                    assert!(error.parts().offset.unwrap() <= end as u64);
                }
            }
        }
    }
}

/// Brotli has no checksum, so a flipped bit of it may pass; that is the form's own limit.
#[test]
fn a_flipped_bit_is_an_error_or_means_nothing() {
    for codec in CODECS.into_iter().filter(|codec| codec.name != "brotli") {
        let plain = mixed(300, 9);
        let stored = pack(codec, codec.levels.usual, &plain, 1 << 20);
        for at in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            if let Ok(read) = unpack(codec, &damaged, 1 << 20) {
                assert!(read == plain, "{}: bit {at} passed", codec.name);
            }
            if let Some(Ok(read)) = unpack_members(codec, &damaged) {
                assert!(read == plain, "{}: bit {at} passed by members", codec.name);
            }
        }
    }
}

#[test]
fn bytes_behind_the_end_are_an_error_but_zeros_behind_gzip() {
    for codec in CODECS {
        let plain = mixed(70_000, 11);
        let stored = pack(codec, codec.levels.usual, &plain, 1 << 20);
        for behind in [&b"garbage"[..], b"x", &stored[..1]] {
            let error = unpack(codec, &[&stored, behind].concat(), 4096).unwrap_err();
            assert_eq!(error.kind(), Kind::SourceCorrupt, "{}", codec.name);
        }
        let padded = unpack(codec, &[&stored[..], &[0; 700]].concat(), 512);
        assert_eq!(padded.is_ok(), codec.name == "gzip", "{}", codec.name);
    }
}

#[test]
fn bombs_stop_at_the_caps() {
    let zeros = vec![0; 64 << 20];
    for codec in CODECS {
        let stored = pack(codec, codec.levels.usual, &zeros, 1 << 20);
        let ratio = zeros.len() / stored.len();
        let caps = Caps { max_bytes: u64::MAX, max_ratio: ratio as u64 / 2 };
        let error = unpack_within(codec, caps, &stored, 4096).unwrap_err();
        assert_eq!(error.kind(), Kind::OutputLimit, "{}", codec.name);
        let caps = Caps { max_bytes: 10 << 20, max_ratio: u64::MAX };
        let error = unpack_within(codec, caps, &stored, 4096).unwrap_err();
        assert_eq!(error.kind(), Kind::OutputLimit, "{}", codec.name);
        let caps = Caps { max_bytes: zeros.len() as u64, max_ratio: u64::MAX };
        assert!(unpack_within(codec, caps, &stored, 65_536).unwrap() == zeros, "{}", codec.name);
    }
}

#[test]
fn what_does_not_shrink_is_stored_and_says_so() {
    let mut noise = vec![0; 9 << 20];
    Content::new(13, noise.len() as u64).fill(0, &mut noise);
    for codec in CODECS.into_iter().filter(|codec| codec.name != "brotli") {
        let mut encoder = Encoder::new(codec, codec.levels.usual).unwrap();
        let mut out = Vec::new();
        encoder.take(&noise, &mut out).unwrap();
        let packed = encoder.finish(&mut out).unwrap();
        assert!(packed.is_raw(), "{}: {packed:?}", codec.name);
        assert!(out.len() < noise.len() + noise.len() / 1000, "{}", codec.name);
        assert!(unpack(codec, &out, 1 << 20).unwrap() == noise);
        let text = pack(codec, codec.levels.usual, &mixed(9 << 20, 1), 1 << 20);
        assert!(text.len() < 5 << 20, "{}: {}", codec.name, text.len());
    }
}

#[test]
fn a_large_window_is_refused_before_memory_is_taken() {
    let codec = codec::by_name("zstd").unwrap();
    let plain = mixed(300_000, 3);
    let wide = through("zstd", &["-c", "--long=27", "--no-check"], &plain);
    assert!(unpack(codec, &wide, 4096).unwrap() == plain);
    let mut asked = 0;
    let mut decoder = Decoder::new(codec, Caps::NONE).unwrap();
    let mut grant = |bytes| {
        asked += bytes;
        Ok(())
    };
    decoder.step(&wide, &mut [0; 100], &mut grant).unwrap();
    assert_eq!(asked, 1 << 27);
    // Magic, no single segment, a window of 2^28.
    let error = unpack(codec, &[0x28, 0xb5, 0x2f, 0xfd, 0, 18 << 3, 1, 0, 0], 9).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn names_and_magic_tell_the_form() {
    let of = |name: &str| codec::by_ending(name.as_bytes()).map(|codec| codec.name);
    assert_eq!([of("a.gz"), of("A.GZIP"), of("x.tgz")], [Some("gzip"); 3]);
    assert_eq!([of("a.zst"), of("a.lz4"), of("a.br")], [Some("zstd"), Some("lz4"), Some("brotli")]);
    assert_eq!([of("a"), of("gz"), of("a.tar")], [None; 3]);
    for codec in CODECS.into_iter().filter(|codec| codec.name != "brotli") {
        let stored = pack(codec, codec.levels.usual, b"abc", 1);
        assert_eq!(codec::by_magic(&stored).unwrap().name, codec.name);
    }
    assert!(codec::by_magic(b"\x1f").is_none() && codec::by_magic(b"plain").is_none());
}

/// A subfield that covers more than its member hides what follows from those who believe it.
#[test]
fn bytes_behind_the_end_of_a_gzip_member_are_no_part_of_it() {
    let gzip = codec::by_name("gzip").unwrap();
    let plain = mixed(5_000, 1);
    let first = pack(gzip, 6, &plain, 5_000);
    let trailer = first[first.len() - 8..].to_vec();
    let behind: [Vec<u8>; 4] = [
        pack(gzip, 6, &mixed(700, 2), 700),
        // The same content: the trailer at the end is the one that is wanted.
        first.clone(),
        trailer.clone(),
        [b"junk", &trailer[..]].concat(),
    ];
    let mut hides = first.clone();
    assert!(unpack_members(gzip, &hides).unwrap().unwrap() == plain);
    for more in behind {
        hides.truncate(first.len());
        hides.extend_from_slice(&more);
        let length = (hides.len() as u32).to_le_bytes();
        hides[16..20].copy_from_slice(&length);
        let Some(Err(error)) = unpack_members(gzip, &hides) else {
            panic!("{} bytes were passed over", more.len());
        };
        assert_eq!(error.kind(), Kind::SourceCorrupt);
    }
}

/// A checksum may stand within the content that it is of.
#[test]
fn a_gzip_member_with_its_own_trailer_in_its_bytes_is_read() {
    let gzip = codec::by_name("gzip").unwrap();
    for plain in [vec![], vec![0; 70_000]] {
        let stored = pack(gzip, 1, &plain, 70_000);
        assert!(unpack_members(gzip, &stored).unwrap().unwrap() == plain);
    }
}
