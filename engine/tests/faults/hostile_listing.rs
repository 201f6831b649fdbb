//! A listing that no good service writes: refused as one that cannot be understood, in little
//! memory, and never taken for an empty bucket or a short page.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use migration_engine::endpoint::contract::{Descend, Visitor};
use migration_engine::endpoint::store::verbs::Ask;
use migration_engine::error::{EngineError, Kind, Result};
use migration_engine::model::choice::LinkPolicy;
use migration_engine::model::item::Item;
use migration_engine::model::path::ItemPath;
use migration_engine::model::selection::Selection;
use migration_engine::remote::call::Side;
use migration_fixtures::store::{Action, Dialect, Hostile, Rule};

use crate::bench::{Bench, Canned, DIALECTS, hasty};

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

/// A page of each dialect with these keys and these prefixes, and the token of the next one.
fn page(dialect: Dialect, keys: &[&str], prefixes: &[&str], next: &str) -> String {
    let date = "2015-10-21T07:28:00.000Z";
    let http = "Wed, 21 Oct 2015 07:28:00 GMT";
    let each = |all: &[&str], one: &dyn Fn(&str) -> String| -> Vec<String> {
        all.iter().map(|name| one(name)).collect()
    };
    match dialect {
        Dialect::S3 => {
            let keys = each(keys, &|key| {
                format!(
                    "<Contents><Key>{key}</Key><Size>0</Size><ETag>\"e\"</ETag>\
                     <LastModified>{date}</LastModified></Contents>"
                )
            });
            let prefixes = each(prefixes, &|prefix| {
                format!("<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>")
            });
            let end = match next {
                "" => "<IsTruncated>false</IsTruncated>".to_owned(),
                next => format!(
                    "<IsTruncated>true</IsTruncated>\
                     <NextContinuationToken>{next}</NextContinuationToken>"
                ),
            };
            let (keys, prefixes) = (keys.concat(), prefixes.concat());
            format!("<ListBucketResult>{keys}{prefixes}{end}</ListBucketResult>")
        }
        Dialect::Gcs => {
            let keys = each(keys, &|key| {
                format!(
                    "{{\"name\":\"{key}\",\"generation\":\"1\",\"size\":\"0\",\
                     \"updated\":\"{date}\",\"timeCreated\":\"{date}\"}}"
                )
            });
            let prefixes = each(prefixes, &|prefix| format!("\"{prefix}\""));
            let end = match next {
                "" => String::new(),
                next => format!(",\"nextPageToken\":\"{next}\""),
            };
            let (keys, prefixes) = (keys.join(","), prefixes.join(","));
            format!(
                "{{\"kind\":\"storage#objects\",\"items\":[{keys}],\
                 \"prefixes\":[{prefixes}]{end}}}"
            )
        }
        Dialect::Azure => {
            let keys = each(keys, &|key| {
                format!(
                    "<Blob><Name>{key}</Name><Properties><Last-Modified>{http}</Last-Modified>\
                     <Etag>0x1</Etag><Content-Length>0</Content-Length></Properties></Blob>"
                )
            });
            let prefixes =
                each(prefixes, &|prefix| format!("<BlobPrefix><Name>{prefix}</Name></BlobPrefix>"));
            let (keys, prefixes) = (keys.concat(), prefixes.concat());
            format!(
                "<EnumerationResults><Blobs>{keys}{prefixes}</Blobs>\
                 <NextMarker>{next}</NextMarker></EnumerationResults>"
            )
        }
    }
}

#[test]
fn a_name_that_comes_twice_or_is_no_prefix_is_an_error() {
    for dialect in DIALECTS {
        let bench = Bench::new(dialect);
        let folded = Ask { folded: true, ..ASK };
        for (keys, prefixes, well) in [
            (&["a", "b"][..], &["c/"][..], true),
            (&["a", "a"], &[], false),
            (&[], &["c/", "c/"], false),
            (&[], &["c"], false),
        ] {
            let served = Canned::start(move |_| page(dialect, keys, prefixes, ""));
            let at = bench.location_at("bucket", served.port);
            let store = bench.store_at(&at, Side::Source, &hasty());
            let listed = store.list(&folded).map(drop).map_err(|error| error.kind());
            let wanted = if well { Ok(()) } else { Err(Kind::RemoteAnswer) };
            assert_eq!(listed, wanted, "{dialect:?} {keys:?} {prefixes:?}");
        }
    }
}

/// What would end a listing that goes on for ever here.
const ENOUGH: usize = 1000;

/// Counts items.
struct Count(usize);

impl Visitor for Count {
    fn enter(&mut self, _: Item) -> Result<Descend> {
        Ok(Descend::Into)
    }

    fn item(&mut self, _: Item) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        Ok(())
    }

    fn failed(&mut self, _: &ItemPath, error: EngineError) -> Result<()> {
        Err(error)
    }
}

#[test]
fn a_listing_that_goes_in_a_circle_is_given_up() {
    for dialect in DIALECTS {
        let bench = Bench::new(dialect);
        let asked = AtomicUsize::new(0);
        let served = Canned::start(move |head| match asked.fetch_add(1, Relaxed) {
            ENOUGH.. => "HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n".to_owned(),
            _ if head.starts_with("HEAD") => "HTTP/1.1 404 X\r\n\r\n".to_owned(),
            number => page(dialect, &["t/a"], &[], ["A", "B", "C"][number % 3]),
        });
        let source = bench.source_of(&bench.location_at("bucket/t/", served.port), &hasty());
        let mut count = Count(0);
        let end = source.survey(&Selection::default(), LinkPolicy::Follow, &mut count);
        assert_eq!(end.unwrap_err().kind(), Kind::RemoteAnswer, "{dialect:?} {}", count.0);
        assert!(served.heads().len() < ENOUGH, "{dialect:?}");
    }
}
