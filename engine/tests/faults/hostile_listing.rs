//! A listing that no good service writes: refused as one that cannot be understood, in little
//! memory, and never taken for an empty bucket or a short page.

use migration_engine::endpoint::store::verbs::Ask;
use migration_engine::error::Kind;
use migration_engine::remote::call::Side;
use migration_fixtures::store::{Action, Dialect, Hostile, Rule};

use crate::bench::{Bench, DIALECTS, hasty};

const FORMS: [Hostile; 9] = [
    Hostile::EntityBomb,
    Hostile::ExternalEntity,
    Hostile::Deep,
    Hostile::HugeName,
    Hostile::UnknownEncoding,
    Hostile::NotUtf8,
    Hostile::Truncated,
    Hostile::Page,
    Hostile::Empty,
];

const ASK: Ask<'static> = Ask { prefix: "", folded: false, next: None, most: 100 };

#[test]
fn what_cannot_be_understood_is_no_page() {
    for dialect in DIALECTS {
        let bench = Bench::new(dialect);
        let store = bench.store(Side::Source, &hasty());
        for form in FORMS {
            let hostile = Action::Hostile { form, status: None };
            bench.server.script().set([Rule::of(bench.names.list).then(hostile)]);
            let listed = store.list(&ASK);
            let kind = listed.map(|page| page.objects.len()).map_err(|error| error.kind());
            assert_eq!(kind, Err(Kind::RemoteAnswer), "{dialect:?} {form:?}");
        }
    }
}

/// The true page, cut behind each byte: with a length that says so, and without any.
#[test]
fn a_page_that_is_cut_is_no_shorter_page() {
    for dialect in DIALECTS {
        let bench = Bench::new(dialect);
        for key in ["a", "b", "c"] {
            bench.put(key, b"x");
        }
        let store = bench.store(Side::Source, &hasty());
        assert_eq!(store.list(&ASK).unwrap().objects.len(), 3);
        let sent = bench.server.log().of(bench.names.list)[0].bytes_out;
        for at in (0..sent).step_by(31) {
            let rule = Rule::of(bench.names.list).times(1);
            bench.server.script().set([rule.then(Action::Truncate { at })]);
            // Cut once, it is asked for again.
            assert_eq!(store.list(&ASK).unwrap().objects.len(), 3, "{dialect:?} {at}");
        }
    }
}

#[test]
fn a_page_without_length_that_ends_early_is_no_page() {
    let xml = |rest: &str| format!("<?xml version=\"1.0\"?>{rest}");
    for dialect in DIALECTS {
        let page = match dialect {
            Dialect::S3 => {
                xml("<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount>")
            }
            Dialect::Gcs => "{\"kind\":\"storage#objects\",\"items\":[]".to_owned(),
            Dialect::Azure => xml("<EnumerationResults><Blobs></Blobs><NextMarker/>"),
        };
        let bench = Bench::new(dialect);
        let store = bench.store(Side::Source, &hasty());
        let text = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{page}");
        bench.rule(Rule::of(bench.names.list).then(Action::Raw { text }));
        let listed = store.list(&ASK).map(|page| page.objects.len()).map_err(|e| e.kind());
        assert_eq!(listed, Err(Kind::RemoteAnswer), "{dialect:?}");
    }
}
