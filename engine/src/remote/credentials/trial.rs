//! What tests of credentials share: a user's directory, an environment, a location, a token
//! service that listens on this machine, and a secret that must be seen nowhere.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::model::location::Location;
use crate::model::secret::SecretSource;
use crate::model::store::StoreOptions;
use crate::platform::operator;
use crate::remote::call::{Request, Verb};
use crate::remote::credentials::aws::{self, AwsChain};
use crate::remote::credentials::environment::Environment;
use crate::remote::dialect::Signer;
use crate::remote::origin::Origin;
use crate::remote::ties::Ties;

/// A secret that no error may hold.
pub(super) fn canary() -> String {
    "hunter2Canary".to_owned()
}

/// 1 January 2026.
pub(super) const NOW: Timestamp = Timestamp(1_767_225_600_000_000_000);

/// One search for credentials.
pub(super) struct Trial {
    home: tempfile::TempDir,
    variables: HashMap<String, String>,
    pub(super) location: Location,
    pub(super) ties: Ties,
    /// Where the signed request goes.
    pub(super) url: String,
}

impl Trial {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let variables = HashMap::from([("HOME".to_owned(), home.path().display().to_string())]);
        let location = Location::parse(b"s3://bucket/key", Vec::new()).unwrap();
        let url = "https://storage.example/bucket".to_owned();
        Self { home, variables, location, ties: Ties::default(), url }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Writes a file in the user's directory; its path.
    pub(super) fn home(&mut self, name: &str, text: &str) -> String {
        self.home_bytes(name, text.as_bytes())
    }

    pub(super) fn home_bytes(&mut self, name: &str, bytes: &[u8]) -> String {
        use std::os::unix::ffi::OsStrExt as _;
        let path = self.home.path().join(name);
        operator::make_dirs(path.parent().unwrap().as_os_str().as_bytes(), 0o700).unwrap();
        operator::remove_file(&path).unwrap();
        let mut file = operator::create_private(&path).unwrap();
        file.write_all(bytes).unwrap();
        path.display().to_string()
    }

    /// Names a secret of the location.
    pub(super) fn give(&mut self, name: &str, value: &str) -> &mut Self {
        let path = self.home(&format!("given-{name}"), value);
        self.give_file(name, &path)
    }

    pub(super) fn give_file(&mut self, name: &str, path: &str) -> &mut Self {
        let source = SecretSource::File(path.as_bytes().to_vec());
        self.location.auth.retain(|(known, _)| known != name);
        self.location.auth.push((name.to_owned(), source));
        self
    }

    pub(super) fn store(&mut self, change: impl FnOnce(&mut StoreOptions)) {
        change(Arc::make_mut(&mut self.location.store));
    }

    pub(super) fn environment(&self) -> Environment {
        let variables = self.variables.clone();
        Environment::of(move |name| variables.get(name).map(|value| value.clone().into_bytes()))
    }

    pub(super) fn aws(&self) -> Result<AwsChain> {
        aws::chain_in(&self.location, &self.ties, self.environment())
    }

    /// A request as it is signed.
    pub(super) fn sign(&self, signer: &dyn Signer) -> Result<Request<'static>> {
        self.sign_at(signer, NOW)
    }

    pub(super) fn sign_at(&self, signer: &dyn Signer, now: Timestamp) -> Result<Request<'static>> {
        let (origin, path) = Origin::parse(&self.url).unwrap();
        let mut request = Request::new(Verb::Look, "GET", &origin, path.to_owned());
        signer.sign(&mut request, now)?;
        assert!(!format!("{request:?}").contains(&canary()), "a request shows its proof");
        Ok(request)
    }

    /// The access key that a request is signed with.
    pub(super) fn aws_key(&self) -> String {
        let request = self.sign(&*self.aws().unwrap().signer("r")).unwrap();
        let proof = request.headers.get("authorization").unwrap().to_owned();
        let (_, rest) = proof.split_once("Credential=").unwrap();
        rest.split('/').next().unwrap().to_owned()
    }

    /// Nothing is found, for this reason, and no secret is told.
    pub(super) fn refuses_aws(&self, kind: Kind, word: &str) {
        let signed = self.aws().and_then(|chain| self.sign(&*chain.signer("r")));
        refused(&signed.map(|_| ()).unwrap_err(), kind, word);
    }
}

/// Whether an error is of this kind, says this word and holds no secret.
pub(super) fn refused(error: &EngineError, kind: Kind, word: &str) {
    let shown = format!("{error} {error:?}");
    assert_eq!(error.kind(), kind, "{shown}");
    assert!(shown.contains(word), "{word} is not in {shown}");
    assert!(!shown.contains(&canary()), "{shown}");
}

/// A token service that gives these answers, one for each request, the last one again and again.
pub(super) struct Service {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    pub(super) fn new(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        std::thread::spawn(move || {
            let mut answers = answers.into_iter().peekable();
            let mut last = (500, String::new());
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = whole(&mut stream);
                heard.lock().unwrap().push(request);
                last = answers.next().unwrap_or(last);
                let (status, body) = &last;
                let length = body.len();
                let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n");
                drop(write!(stream, "{head}Connection: close\r\n\r\n{body}"));
            }
        });
        Self { url, asked }
    }

    /// What was asked, head and body.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn whole(stream: &mut std::net::TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let shown = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = shown.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.split_once("content-length: ").map_or(0, |(_, rest)| {
                rest.lines().next().unwrap().trim().parse::<usize>().unwrap()
            });
            if body.len() >= length {
                return shown;
            }
        }
        match stream.read(&mut buffer).unwrap_or(0) {
            0 => return shown,
            count => text.extend_from_slice(&buffer[..count]),
        }
    }
}
