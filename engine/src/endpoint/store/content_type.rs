//! Content types by the ending of a name (IANA media types).

/// Endings and their types, in alphabetical order.
const TYPES: [(&str, &str); 38] = [
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("br", "application/x-brotli"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("lz4", "application/x-lz4"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The type of a name; `None` where its ending tells none.
pub(super) fn of_name(name: &str) -> Option<&'static str> {
    let ending = name.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase();
    let at = TYPES.binary_search_by_key(&ending.as_str(), |(ending, _)| ending).ok()?;
    TYPES.get(at).map(|(_, content_type)| *content_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_found_and_in_order() {
        assert!(TYPES.is_sorted_by_key(|(ending, _)| *ending));
        assert_eq!(of_name("a/b.CSV"), Some("text/csv"));
        assert_eq!((of_name("a.b/c"), of_name("c"), of_name("c.unknown")), (None, None, None));
    }
}
