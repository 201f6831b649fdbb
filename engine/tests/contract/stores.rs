//! Where the suite runs: a directory, memory, and a prefix of the bucket that all tests share in
//! each server that `scripts/services.sh env` tells of.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use migration_engine::model::location::Location;
use migration_engine::model::secret::SecretSource;
use migration_engine::model::store::StoreOptions;
use tempfile::TempDir;

/// The value of a variable, without which the suite would show less than it says.
fn variable(name: &str) -> String {
    let missing = || panic!("{name} is not set: eval \"$(scripts/services.sh env)\"");
    std::env::var(name).unwrap_or_else(|_| missing())
}

fn env(name: &str) -> SecretSource {
    SecretSource::Env(name.to_owned())
}

/// Empty places of a scheme, each with a name for messages.
pub fn roots(scheme: &str, case: &str) -> Vec<(String, Location, TempDir)> {
    let scratch = || tempfile::tempdir().unwrap();
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let key = format!("contract/{case}-{}-{nanos}/root", std::process::id());
    let bucket = || format!("{scheme}://{}/{key}", variable("TEST_BUCKET"));
    let parse = |text: &str, auth| Location::parse(text.as_bytes(), auth).unwrap();
    let at = |location: Location, options: StoreOptions| Location {
        store: Arc::new(options),
        ..location
    };
    let endpoint = |name: &str| Some(variable(name));
    match scheme {
        "file" => {
            let scratch = scratch();
            let path = scratch.path().join("root");
            vec![("file".to_owned(), parse(path.to_str().unwrap(), Vec::new()), scratch)]
        }
        "s3" => {
            let server = |prefix: &str| {
                let name = |field: &str| format!("{prefix}_{field}");
                let auth = vec![
                    ("access_key_id".to_owned(), env(&name("ACCESS_KEY"))),
                    ("secret_access_key".to_owned(), env(&name("SECRET_KEY"))),
                ];
                let options = StoreOptions {
                    endpoint: endpoint(&name("ENDPOINT")),
                    region: Some(variable(&name("REGION"))),
                    ..StoreOptions::default()
                };
                (prefix.to_owned(), at(parse(&bucket(), auth), options), scratch())
            };
            // Ceph comes from Debian sid, and is named as absent where that cannot be had.
            let ceph = std::env::var_os("TEST_RGW_ENDPOINT").map(|_| server("TEST_RGW"));
            std::iter::once(server("TEST_S3")).chain(ceph).collect()
        }
        "gs" => {
            let options = StoreOptions {
                endpoint: endpoint("TEST_GCS_ENDPOINT"),
                anonymous: true,
                ..StoreOptions::default()
            };
            vec![("TEST_GCS".to_owned(), at(parse(&bucket(), Vec::new()), options), scratch())]
        }
        "az" => {
            let options = StoreOptions {
                endpoint: endpoint("TEST_AZURE_ENDPOINT"),
                account: Some(variable("TEST_AZURE_ACCOUNT")),
                ..StoreOptions::default()
            };
            let auth = vec![("account_key".to_owned(), env("TEST_AZURE_KEY"))];
            vec![("TEST_AZURE".to_owned(), at(parse(&bucket(), auth), options), scratch())]
        }
        other => {
            let text = format!("{other}://{key}");
            vec![(other.to_owned(), parse(&text, Vec::new()), scratch())]
        }
    }
}
