//! Where the body of an answer ends (RFC 9112, 6.3).

use crate::limits::{REMOTE_CHUNK_LINE_BYTES_MAX, REMOTE_TRAILER_BYTES_MAX};
use crate::remote::call::Failure;
use crate::remote::head::Head;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    Done,
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// All until the peer's end.
    Close,
}

/// Where in its chunks a body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In front of a size.
    Size,
    /// This many bytes before a chunk's end.
    Data(u64),
    /// In front of the line's end behind a chunk.
    End,
    /// In trailers, of which so many bytes were read.
    Trailer(usize),
}

impl Body {
    /// How the body of an answer is framed, and whether the connection lasts beyond it.
    ///
    /// # Errors
    /// `Garbled` for lengths that contradict each other or are none.
    pub(super) fn of(head: &Head, method: &str) -> Result<(Self, bool), Failure> {
        let says = |word: &str| tokens(head, "connection").any(|t| t.eq_ignore_ascii_case(word));
        let lasts = if head.old { says("keep-alive") } else { !says("close") };
        if method == "HEAD" || head.status == 204 || head.status == 304 {
            return Ok((Self::Done, lasts));
        }
        let length = length(head)?;
        let mut codings = tokens(head, "transfer-encoding").peekable();
        if codings.peek().is_some() {
            let chunked = codings.all(|coding| coding.eq_ignore_ascii_case("chunked"));
            if !chunked || tokens(head, "transfer-encoding").count() > 1 || head.old {
                return Err(Failure::garbled("the answer has an unknown transfer encoding"));
            }
            if length.is_some() {
                return Err(Failure::garbled("the answer has both a length and chunks"));
            }
            return Ok((Self::Chunked(Chunk::Size), lasts));
        }
        Ok(match length {
            Some(0) => (Self::Done, lasts),
            Some(length) => (Self::Length(length), lasts),
            None => (Self::Close, false),
        })
    }
}

fn tokens<'a>(head: &'a Head, name: &'a str) -> impl Iterator<Item = &'a str> {
    let values = head.headers.iter().filter(move |(known, _)| *known == name);
    values.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|t| !t.is_empty())
}

fn length(head: &Head) -> Result<Option<u64>, Failure> {
    let mut found = None;
    for (_, value) in head.headers.iter().filter(|(name, _)| *name == "content-length") {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let length = digits.then(|| value.parse::<u64>().ok()).flatten();
        match (length, found) {
            (None, _) => return Err(Failure::garbled("the answer's length is none")),
            (Some(length), Some(other)) if length != other => {
                return Err(Failure::garbled("the answer has two lengths"));
            }
            _ => found = length,
        }
    }
    Ok(found)
}

impl Chunk {
    /// Goes on by what `ahead` holds; `None` when a line is not there as a whole. With the next
    /// state (`None` at the end of the body), how many bytes of `ahead` were used.
    ///
    /// # Errors
    /// `Garbled`.
    pub(super) fn next(self, ahead: &[u8]) -> Result<Option<(Option<Self>, usize)>, Failure> {
        let end = ahead.iter().position(|&byte| byte == b'\n');
        if end.unwrap_or(ahead.len()) > REMOTE_CHUNK_LINE_BYTES_MAX {
            return Err(Failure::garbled("a line between chunks is too long"));
        }
        let Some(end) = end else { return Ok(None) };
        let (line, used) = (ahead.get(..end).unwrap_or_default(), end + 1);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let next = match self {
            Self::Size => match size(line)? {
                0 => Some(Self::Trailer(0)),
                size => Some(Self::Data(size)),
            },
            Self::End if line.is_empty() => Some(Self::Size),
            Self::Trailer(_) if line.is_empty() => None,
            Self::Trailer(read) if read + used <= REMOTE_TRAILER_BYTES_MAX => {
                Some(Self::Trailer(read + used))
            }
            Self::Trailer(_) => return Err(Failure::garbled("the trailers are too long")),
            Self::End | Self::Data(_) => return Err(Failure::garbled("a chunk has no end")),
        };
        Ok(Some((next, used)))
    }
}

/// A chunk's size, extensions behind it left aside.
fn size(line: &[u8]) -> Result<u64, Failure> {
    let garbled = || Failure::garbled("a chunk's size is none");
    let end = line.iter().position(|&byte| byte == b';').unwrap_or(line.len());
    let digits = line.get(..end).unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(garbled());
    }
    let text = std::str::from_utf8(digits).map_err(|_| garbled())?;
    u64::from_str_radix(text, 16).map_err(|_| garbled())
}
