//! ListParts.

use serde::Deserialize;

use crate::endpoint::s3::bucket::{Bucket, PARTS_MAX};
use crate::endpoint::s3::{answer, checksum, xml};
use crate::endpoint::store::verbs::{Part, Upload};
use crate::error::Result;
use crate::model::digest::Algorithm;
use crate::remote::call::{Class, Verb};

const DOING: &str = "failed to list the parts of an upload";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    is_truncated: bool,
    next_part_number_marker: Option<u32>,
    #[serde(default)]
    part: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    part_number: u32,
    #[serde(rename = "ETag")]
    etag: String,
    size: u64,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc: Option<String>,
}

/// The parts that an upload has; `None` when it is gone.
///
/// # Errors
/// What keeps them from being listed; `RemoteAnswer` for parts out of order.
pub fn parts(bucket: &Bucket, upload: &Upload) -> Result<Option<Vec<Part>>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut marker = 0;
    loop {
        let mut request = bucket
            .request(Verb::Look, "GET", &upload.key)
            .query("uploadId", upload.id.as_str())
            .query("max-parts", "1000");
        if marker > 0 {
            request = request.query("part-number-marker", marker.to_string());
        }
        bucket.add_customer_key(&mut request.headers);
        let (_, body) = match bucket.fetch(request) {
            Ok(answer) => answer,
            Err(f) if matches!(f.class, Class::NoUpload | Class::NotFound) => return Ok(None),
            Err(failure) => return Err(bucket.error(&failure, Verb::Look, DOING)),
        };
        match page(&body, marker, &mut parts).map_err(|why| xml::garbled(DOING, why))? {
            Some(next) => marker = next,
            None => return Ok(Some(parts)),
        }
    }
}

/// Takes a page; the marker of the next one.
fn page(body: &[u8], marker: u32, parts: &mut Vec<Part>) -> Result<Option<u32>, String> {
    let listing: Listing = xml::read(body, "ListPartsResult")?;
    let mut last = marker;
    for entry in listing.part {
        if u64::from(entry.part_number) > PARTS_MAX {
            return Err("it has more parts than an upload can have".to_owned());
        }
        if entry.part_number <= marker || entry.part_number < last {
            return Err("its parts are out of order".to_owned());
        }
        let tag = answer::version(&entry.etag)?.as_str().to_owned();
        let digest = entry.crc.and_then(|crc| checksum::decode(Algorithm::Crc64Nvme, &crc));
        let part = Part { index: entry.part_number - 1, size: entry.size, tag, digest };
        match parts.last_mut().filter(|before| before.index == part.index) {
            // SeaweedFS keeps all that was sent under a number: they must be one, or are not proof.
            Some(before) if *before == part => {}
            Some(before) => (before.tag, before.digest) = (String::new(), None),
            None => parts.push(part),
        }
        last = entry.part_number;
    }
    match (listing.is_truncated, listing.next_part_number_marker) {
        (false, _) => Ok(None),
        (true, Some(next)) if next > marker && next >= last => Ok(Some(next)),
        (true, _) => Err("it is cut off and does not tell how to go on".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(numbers: &[u32], end: &str) -> String {
        let part = |number: &u32| {
            format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>\"e\"</ETag><Size>5</Size>\
                 <ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME></Part>"
            )
        };
        let parts: String = numbers.iter().map(part).collect();
        format!("<ListPartsResult>{parts}{end}</ListPartsResult>")
    }

    const MORE: &str = "<IsTruncated>true</IsTruncated>";
    const END: &str = "<IsTruncated>false</IsTruncated>";

    #[test]
    fn pages_go_on_one_behind_the_other() {
        let mut parts = Vec::new();
        let next = "<NextPartNumberMarker>3</NextPartNumberMarker>";
        let first = text(&[1, 3], &format!("{MORE}{next}"));
        assert_eq!(page(first.as_bytes(), 0, &mut parts), Ok(Some(3)));
        assert_eq!(page(text(&[4], END).as_bytes(), 3, &mut parts), Ok(None));
        let indexes: Vec<u32> = parts.iter().map(|part| part.index).collect();
        assert_eq!(indexes, [0, 2, 3]);
        assert_eq!(parts[0].digest, Some(checksum::of(b"123456789")));
    }

    #[test]
    fn a_part_that_is_listed_twice_is_proof_only_where_both_agree() {
        let mut parts = Vec::new();
        let twice = text(&[1, 2, 2, 3, 3], END);
        let other = twice.rfind("<ETag>\"e").map(|at| at + 7).unwrap();
        let twice = format!("{}f{}", &twice[..other], &twice[other + 1..]);
        assert_eq!(page(twice.as_bytes(), 0, &mut parts), Ok(None));
        let proofs: Vec<bool> = parts.iter().map(|part| part.digest.is_some()).collect();
        assert_eq!(proofs, [true, true, false]);
    }

    #[test]
    fn pages_that_cannot_be_are_errors() {
        let marker = |n: u32| format!("{MORE}<NextPartNumberMarker>{n}</NextPartNumberMarker>");
        for (numbers, end) in [
            (&[2, 1][..], END.to_owned()),
            (&[3], END.to_owned()),
            (&[4], MORE.to_owned()),
            (&[], marker(3)),
            (&[5], marker(4)),
            (&[], String::new()),
        ] {
            let text = text(numbers, &end);
            assert!(page(text.as_bytes(), 3, &mut Vec::new()).is_err(), "{text}");
        }
    }
}
