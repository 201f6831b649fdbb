//! How an upload is named in records of a job: bucket, key and the store's own name of it.

use crate::model::path::JOB_TAG_DIGITS;

use super::verbs::Upload;

/// What a record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// [`super::verbs::Store::identity`] of its bucket.
    pub bucket: String,
    /// The number of the write that it was begun for: the object will bear it, whoever completes.
    pub write: u64,
    /// The upload; without a name where only the key was known.
    pub upload: Upload,
}

impl Token {
    pub(super) fn encode(&self) -> Vec<u8> {
        let write = format!("{:016x}", self.write);
        [&self.bucket, &write, &self.upload.key, &self.upload.id]
            .map(String::as_str)
            .join("\0")
            .into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(bytes).ok()?.splitn(4, '\0').map(str::to_owned);
        let (bucket, write) = (parts.next()?, u64::from_str_radix(&parts.next()?, 16).ok()?);
        let (key, id) = (parts.next()?, parts.next()?);
        Some(Self { bucket, write, upload: Upload { key, id } })
    }
}

/// The number of the write that has this temporary name: the job's tag above, its count below.
pub(super) fn write_number(temp: &[u8]) -> u64 {
    let text = std::str::from_utf8(temp).unwrap_or_default();
    let middle = text.strip_prefix(".mig-").and_then(|rest| rest.strip_suffix(".part"));
    let number = || {
        let (tag, count) = middle?.split_at_checked(JOB_TAG_DIGITS)?;
        let count: u32 = count.strip_prefix('-')?.parse().ok()?;
        Some(u64::from(u32::from_str_radix(tag, 16).ok()?) << 32 | u64::from(count))
    };
    number().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_temporary_names_have_numbers() {
        let upload = Upload { key: "a/b".to_owned(), id: "x\0y".to_owned() };
        let token = Token { bucket: "s3 http://h/b".to_owned(), write: 0xff_0000_0007, upload };
        assert_eq!(Token::decode(&token.encode()), Some(token));
        assert_eq!(Token::decode(b"one"), None);
        assert_eq!(Token::decode(b"bucket\0no number\0key\0id"), None);
        assert_eq!(write_number(b".mig-000000ff-7.part"), 0xff_0000_0007);
        assert_eq!(write_number(b"other"), 0);
    }
}
