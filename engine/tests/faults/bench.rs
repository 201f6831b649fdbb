//! An engine, a server that fails as it is told, and locations in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use migration_engine::endpoint::contract::{ObjectSink, ObjectSource};
use migration_engine::endpoint::store::Bucket;
use migration_engine::endpoint::store::verbs::{Condition, Opened, Put, Store};
use migration_engine::endpoint::{azure, gcs, s3};
use migration_engine::error::Result as Done;
use migration_engine::model::location::Location;
use migration_engine::model::secret::SecretSource;
use migration_engine::model::store::StoreOptions;
use migration_engine::remote::call::Side;
use migration_engine::remote::settings::{Tries, Waits};
use migration_engine::remote::ties::Ties;
use migration_fixtures::store::{Action, Dialect, Draft, Options, Rule, Server};
use serde_json::{Value, json};

use crate::session::{Place, Session, read};

pub const DIALECTS: [Dialect; 3] = [Dialect::S3, Dialect::Gcs, Dialect::Azure];
/// Those that hold a CRC of each object.
pub const SUMMING: [Dialect; 2] = [Dialect::S3, Dialect::Gcs];
/// Length of the parts that objects are sent in, and of objects of three such parts.
pub const PART: usize = 5 << 20;
pub const PARTS: usize = 2 * PART + 12_345;

/// How the server's log calls what the engine does.
pub struct Names {
    pub put: &'static str,
    pub part: &'static str,
    pub complete: &'static str,
    pub list: &'static str,
    pub get: &'static str,
    pub look: &'static str,
    pub remove: &'static str,
}

pub fn names(dialect: Dialect) -> Names {
    let [put, part, complete, list, get, look, remove] = match dialect {
        Dialect::S3 => [
            "PutObject",
            "UploadPart",
            "CompleteMultipartUpload",
            "ListObjectsV2",
            "GetObject",
            "HeadObject",
            "DeleteObject",
        ],
        Dialect::Gcs => [
            "InsertMultipart",
            "InsertMultipart",
            "ComposeObject",
            "ListObjects",
            "GetObject",
            "GetObjectMetadata",
            "DeleteObject",
        ],
        Dialect::Azure => [
            "PutBlob",
            "PutBlock",
            "PutBlockList",
            "ListBlobs",
            "GetBlob",
            "GetBlobProperties",
            "DeleteBlob",
        ],
    };
    Names { put, part, complete, list, get, look, remove }
}

/// A server that answers each request on a connection of its own by a function of its head: with
/// content, or with a whole answer. It keeps the heads.
pub struct Canned {
    pub port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    pub fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                let mut head = String::new();
                let mut lines = BufReader::new(socket.try_clone().unwrap());
                while lines.read_line(&mut head).unwrap_or(0) > 2 {}
                seen.lock().unwrap().push(head.clone());
                let body = answer(&head);
                if body.starts_with("HTTP/1.1 ") {
                    // The client may have gone.
                    let _ = socket.write_all(body.as_bytes());
                    continue;
                }
                let length = body.len();
                let fields = "ETag: \"e\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
                let text = format!(
                    "HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let body = if head.starts_with("HEAD") { "" } else { &body };
                // The client may have gone.
                let _ = socket.write_all(format!("{text}{body}").as_bytes());
            }
        });
        Self { port, heads }
    }

    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// How a dialect opens a bucket.
type Open = fn(&Location, Side, &Ties) -> Done<(Arc<dyn Store>, String)>;

/// Bytes that tell their place and do not compress; other ones for each seed.
pub fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let word = |at: u64| {
        let mixed = (at ^ (seed << 40)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb).to_le_bytes()
    };
    (0..(count as u64).div_ceil(8)).flat_map(word).take(count).collect()
}

/// Text that tells its place.
pub fn text(count: usize, seed: u64) -> String {
    bytes(count, seed).into_iter().map(|byte| char::from(b'0' + byte % 64)).collect()
}

/// A file that its owner alone may read.
pub fn secret(place: &Place, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = place.path(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// An engine and a server.
pub struct Bench {
    pub place: Place,
    pub server: Server,
    pub session: Session,
    pub dialect: Dialect,
    pub names: Names,
}

impl Bench {
    pub fn new(dialect: Dialect) -> Self {
        Self::with(Options::new(dialect), &[])
    }

    pub fn with(options: Options, flags: &[&str]) -> Self {
        Self::in_environment(options, flags, &[])
    }

    /// With these variables for the engine.
    pub fn in_environment(options: Options, flags: &[&str], set: &[(&str, &str)]) -> Self {
        let dialect = options.dialect;
        let (place, server) = (Place::new(), Server::start(options).unwrap());
        let options = server.options();
        let key = &options.keys[0];
        for (name, text) in [
            ("id", Some(&key.access)),
            ("secret", Some(&key.secret)),
            ("session", key.token.as_ref()),
            ("token", options.token.as_ref()),
            ("account", Some(&options.account_key)),
        ] {
            secret(&place, &format!(".{name}"), text.map_or("", String::as_str));
        }
        let home = place.dir.path().to_owned();
        let session = Session::start_with(&place, flags, |command| {
            for (name, _) in std::env::vars() {
                let begins = ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|b| name.starts_with(b));
                if begins || name.to_lowercase().ends_with("_proxy") {
                    command.env_remove(name);
                }
            }
            command.env("HOME", home).envs(set.iter().copied())
        });
        Self { place, server, session, dialect, names: names(dialect) }
    }

    /// What a location's `auth` says.
    fn secrets(&self) -> Vec<(&'static str, &'static str)> {
        match self.dialect {
            Dialect::S3 if self.server.options().keys[0].token.is_some() => vec![
                ("access_key_id", ".id"),
                ("secret_access_key", ".secret"),
                ("session_token", ".session"),
            ],
            Dialect::S3 => vec![("access_key_id", ".id"), ("secret_access_key", ".secret")],
            Dialect::Gcs => vec![("access_token", ".token")],
            Dialect::Azure => vec![("account_key", ".account")],
        }
    }

    /// A key of the bucket.
    pub fn at(&self, key: &str) -> Value {
        let scheme = match self.dialect {
            Dialect::S3 => "s3",
            Dialect::Gcs => "gs",
            Dialect::Azure => "az",
        };
        let auth: serde_json::Map<_, _> = self
            .secrets()
            .into_iter()
            .map(|(name, file)| {
                (name.to_owned(), json!({"file": self.place.path(file).to_str().unwrap()}))
            })
            .collect();
        let url = format!("{scheme}://bucket/{key}");
        let mut at = json!({"url": url, "endpoint": self.server.url(), "auth": auth});
        if self.dialect == Dialect::Azure {
            at["account"] = json!(self.server.options().account);
        }
        at
    }

    /// As [`Bench::at`], written in parts.
    pub fn in_parts(&self, key: &str) -> Value {
        let mut at = self.at(key);
        at["part_bytes"] = json!(PART);
        at
    }

    /// The bucket as the library opens it.
    pub fn store(&self, side: Side, ties: &Ties) -> Arc<dyn Store> {
        (self.opening())(&self.location("bucket"), side, ties).unwrap().0
    }

    /// A store of another server of the same dialect.
    pub fn store_at(&self, at: &Location, side: Side, ties: &Ties) -> Arc<dyn Store> {
        (self.opening())(at, side, ties).unwrap().0
    }

    /// As [`Bench::store_at`], the library's source of items.
    pub fn source_of(&self, at: &Location, ties: &Ties) -> Box<dyn ObjectSource> {
        Bucket::source(self.opening(), at, ties).unwrap()
    }

    /// As [`Bench::location`], on another port of this machine.
    pub fn location_at(&self, path: &str, port: u16) -> Location {
        let mut at = self.location(path);
        Arc::make_mut(&mut at.store).endpoint = Some(format!("http://127.0.0.1:{port}"));
        at
    }

    /// As [`Bench::store`], another bucket to be read.
    pub fn elsewhere(&self, bucket: &str) -> Arc<dyn Store> {
        (self.opening())(&self.location(bucket), Side::Source, &Ties::default()).unwrap().0
    }

    /// A key as the library's source of items.
    pub fn source(&self, key: &str, ties: &Ties) -> Box<dyn ObjectSource> {
        Bucket::source(self.opening(), &self.location(&format!("bucket/{key}")), ties).unwrap()
    }

    /// A key as the library's sink of items, written in parts.
    pub fn sink(&self, key: &str, ties: &Ties) -> Box<dyn ObjectSink> {
        let mut at = self.location(&format!("bucket/{key}"));
        Arc::make_mut(&mut at.store).part_bytes = Some(PART as u64);
        Bucket::sink(self.opening(), &at, ties).unwrap()
    }

    fn opening(&self) -> Open {
        match self.dialect {
            Dialect::S3 => s3::open,
            Dialect::Gcs => gcs::open,
            Dialect::Azure => azure::open,
        }
    }

    pub fn location(&self, path: &str) -> Location {
        let auth = self.secrets().into_iter().map(|(name, file)| {
            let path = self.place.path(file).into_os_string().into_encoded_bytes();
            (name.to_owned(), SecretSource::File(path))
        });
        let account = Some(self.server.options().account.clone());
        Location {
            scheme: String::new(),
            path: path.as_bytes().to_vec(),
            auth: auth.collect(),
            store: Arc::new(StoreOptions {
                endpoint: Some(self.server.url()),
                account: account.filter(|_| self.dialect == Dialect::Azure),
                ..StoreOptions::default()
            }),
        }
    }

    pub fn rule(&self, rule: Rule) {
        self.server.script().add(rule);
    }

    /// A rule for an object that is put in one request. Google's service learns its name from the
    /// body, so there it is any.
    pub fn of_put(&self, key: &str) -> Draft {
        match self.dialect {
            Dialect::Gcs => Rule::of(self.names.put),
            _ => Rule::of(self.names.put).key(key),
        }
    }

    /// As [`Bench::of_put`], for the parts of an object.
    pub fn of_part(&self, key: &str) -> Draft {
        match self.dialect {
            Dialect::Gcs => Rule::of(self.names.part),
            _ => Rule::of(self.names.part).key(key),
        }
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.place.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn put(&self, key: &str, content: &[u8]) {
        self.server.objects().put("bucket", key, content.to_vec());
    }

    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.server.objects().get("bucket", key).map(|object| object.content.to_vec())
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.place.path(name);
        path.exists().then(|| read(&path))
    }

    /// A copy's result.
    pub fn copy(&mut self, src: &Value, dst: &Value, fields: &Value) -> Value {
        let id = format!("c{}", self.session.seen.len());
        let mut command = json!({"op": "copy", "id": id, "src": src, "dst": dst});
        for (name, value) in fields.as_object().unwrap() {
            command[name] = value.clone();
        }
        self.session.call(&command)
    }

    /// A file to a key, which must end well.
    pub fn up(&mut self, name: &str, key: &str) {
        let result = self.copy(&json!(name), &self.at(key), &json!({}));
        assert_eq!(result["status"], "ok", "{:?} {result}", self.dialect);
    }

    /// A copy that its store may make by itself: by a digest that it holds, and Azure's holds none.
    pub fn servable(&self) -> Value {
        if self.dialect == Dialect::Azure { json!({"checksum": "none"}) } else { json!({}) }
    }

    /// No upload is left that was begun, and no object that is temporary.
    pub fn is_clean(&self) -> bool {
        let keys = self.server.objects().keys("bucket");
        self.server.pending().is_empty() && !keys.iter().any(|key| key.contains(".mig-"))
    }

    /// Requests that carried out an operation about a key.
    pub fn done(&self, operation: &str, key: &str) -> usize {
        let entries = self.server.log().of(operation);
        // Google's service learns from the body what is put.
        let named = |name: &str| name == key || (name.is_empty() && self.dialect == Dialect::Gcs);
        entries.iter().filter(|entry| named(&entry.key) && entry.status / 100 == 2).count()
    }
}

/// The code of a result's error.
pub fn code(result: &Value) -> &str {
    result["error"]["code"].as_str().unwrap_or("none")
}

pub fn lose() -> Action {
    Action::LoseAnswer { reset: true }
}

/// What makes the library impatient.
pub fn hasty() -> Ties {
    let short = Duration::from_millis(1500);
    let (first, longest) = (Duration::from_millis(1), Duration::from_millis(5));
    let tries = Tries { count: 4, first, longest, rest: short, ..Tries::default() };
    let slow_bytes_per_s = 1 << 20;
    let whole = Duration::from_secs(20);
    let waits = Waits {
        answer: short,
        silence: short,
        slow: short,
        slow_bytes_per_s,
        whole,
        ..Waits::default()
    };
    Ties { tries, waits, ..Ties::default() }
}

/// A write of this nonce.
pub fn nonce(number: u64, condition: Condition) -> Put {
    let metadata = vec![("mig-write".to_owned(), format!("{number:016x}"))];
    Put { condition, metadata, content_type: None, fields: Vec::new(), digest: None }
}

/// All bytes of what is being read.
pub fn content(mut opened: Opened) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match opened.body.read(&mut buffer).unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}
