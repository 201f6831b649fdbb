//! Connects and proves who asks: TLS, then the password by whatever the server wants that does not
//! give it away ("Message Flow" in the manual).

use std::time::{Duration, Instant};

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use secrecy::ExposeSecret as _;

use crate::endpoint::postgres::config::Config;
use crate::endpoint::postgres::error::{Done, Fault, SqlError, ended, failure, garbled};
use crate::endpoint::postgres::wire::{Wire, message};
use crate::error::{EngineError, Kind};
use crate::limits::{DATABASE_GREETING_BYTES_MAX, DATABASE_GREETINGS_MAX, DATABASE_SILENCE_MS};
use crate::remote::call::Class;
use crate::remote::socket::Socket;

/// Protocol 3.0.
const PROTOCOL: u32 = 3 << 16;
/// Asks for TLS in place of a version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What a server told before it was ready.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// `server_version`.
    pub(super) version: String,
}

/// A connection on which the server waits for a query.
pub(super) fn connect(config: &Config) -> Done<(Wire, Greeting)> {
    let deadline = Instant::now() + config.settings.waits.connect;
    let switch = &config.ties.switch;
    let mut socket = Socket::connect(&config.host, config.port, &config.settings, switch)?;
    if config.asks_tls() {
        ask_tls(config, &mut socket, deadline)?;
    }
    let mut wire = Wire::new(socket);
    wire.write(&startup_message(config)?)?;
    let greeting = greet(config, &mut wire, deadline)?;
    wire.silence = Duration::from_millis(DATABASE_SILENCE_MS);
    Ok((wire, greeting))
}

fn ask_tls(config: &Config, socket: &mut Socket, deadline: Instant) -> Done<()> {
    socket.write(&SSL_REQUEST)?;
    let mut answer = [0];
    let left = deadline.saturating_duration_since(Instant::now());
    // One byte alone: what an intruder sends behind it in the clear is never taken for the server's.
    if socket.read(&mut answer, left)? == 0 {
        return Err(ended());
    }
    match answer {
        [b'S'] => Ok(socket.secure()?),
        [b'N' | b'E'] if !config.needs_tls() => Ok(()),
        [b'N'] => Err(failure(Class::Tls, "the server speaks no TLS").into()),
        _ => Err(garbled("the server does not speak PostgreSQL's protocol")),
    }
}

fn startup_message(config: &Config) -> Done<Vec<u8>> {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    let parameters = [
        ("user", config.user.as_str()),
        ("database", &config.database),
        ("client_encoding", "UTF8"),
        ("application_name", "migration-engine"),
    ];
    for (name, value) in parameters {
        if value.contains('\0') {
            return Err(EngineError::new(Kind::InvalidField, format!("{name} holds a NUL")).into());
        }
        for text in [name, value] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.append(&mut body);
    Ok(bytes)
}

fn greet(config: &Config, wire: &mut Wire, deadline: Instant) -> Done<Greeting> {
    let mut greeting = Greeting::default();
    let mut proof = Proof { config, scram: None, is_done: false, is_proven: false };
    for _ in 0..DATABASE_GREETINGS_MAX {
        wire.silence = deadline.saturating_duration_since(Instant::now());
        let (tag, payload) = wire.next(DATABASE_GREETING_BYTES_MAX)?;
        match tag {
            b'R' => {
                let secure_payload = payload.to_vec();
                if let Some(answer) = proof.answer(&secure_payload, wire.socket().is_secure())? {
                    wire.write(&answer)?;
                }
            }
            b'E' => return Err(Fault::Sql(Box::new(SqlError::parse(payload)))),
            b'S' => {
                if let Some(version) = payload.strip_prefix(b"server_version\0") {
                    let version = version.split(|b| *b == 0).next().unwrap_or_default();
                    greeting.version = String::from_utf8_lossy(version).into_owned();
                }
            }
            b'K' | b'N' => {}
            b'v' => {
                let message = "the server speaks another protocol";
                return Err(EngineError::new(Kind::DatabaseVersion, message).into());
            }
            b'Z' if proof.is_done => return Ok(greeting),
            _ => return Err(garbled("an unexpected message before the session is ready")),
        }
    }
    Err(garbled("the server never becomes ready"))
}

/// The proof of who asks.
struct Proof<'a> {
    config: &'a Config,
    scram: Option<ScramSha256>,
    /// Whether the server takes it.
    is_done: bool,
    /// Whether the server has proven, by SCRAM, that it knows the password too.
    is_proven: bool,
}

impl Proof<'_> {
    fn password(&self) -> Done<&[u8]> {
        match &self.config.password {
            Some(password) => Ok(password.expose_secret()),
            None => {
                let message = "the server asks for a password";
                let error = EngineError::new(Kind::CredentialsMissing, message);
                Err(error.hint("name it in auth.password").into())
            }
        }
    }

    fn answer(&mut self, payload: &[u8], secure: bool) -> Done<Option<Vec<u8>>> {
        let (code, body) =
            payload.split_first_chunk::<4>().ok_or_else(|| garbled("a cut authentication"))?;
        match u32::from_be_bytes(*code) {
            0 if self.scram.is_some() && !self.is_proven => {
                Err(garbled("the server does not prove that it knows the password"))
            }
            0 => {
                self.is_done = true;
                Ok(None)
            }
            3 if secure || self.config.is_here() => {
                Ok(Some(message(b'p', &[self.password()?, b"\0"])))
            }
            3 => Err(refused("the server wants the password in the clear")),
            5 => {
                let salt = body.first_chunk::<4>().ok_or_else(|| garbled("a cut salt"))?;
                let hash = md5_hash(self.config.user.as_bytes(), self.password()?, *salt);
                Ok(Some(message(b'p', &[hash.as_bytes(), b"\0"])))
            }
            10 => self.begin_scram(body).map(Some),
            11 => {
                let scram = self.scram.as_mut().ok_or_else(|| garbled("SCRAM out of turn"))?;
                scram.update(body).map_err(|_| garbled("a SCRAM message that is none"))?;
                Ok(Some(message(b'p', &[scram.message()])))
            }
            12 => {
                let scram = self.scram.as_mut().ok_or_else(|| garbled("SCRAM out of turn"))?;
                let wrong = |_| garbled("the server does not know the password itself");
                scram.finish(body).map_err(wrong)?;
                self.is_proven = true;
                Ok(None)
            }
            _ => Err(refused("the server wants a login that is not known here")),
        }
    }

    fn begin_scram(&mut self, mechanisms: &[u8]) -> Done<Vec<u8>> {
        let mut offered = mechanisms.split(|byte| *byte == 0);
        if self.scram.is_some() || !offered.any(|name| name == SCRAM_SHA_256.as_bytes()) {
            return Err(refused("the server offers no SCRAM-SHA-256"));
        }
        let scram = ScramSha256::new(self.password()?, ChannelBinding::unsupported());
        let first = scram.message();
        let length = (first.len() as u32).to_be_bytes();
        let bytes = message(b'p', &[SCRAM_SHA_256.as_bytes(), b"\0", &length, first]);
        self.scram = Some(scram);
        Ok(bytes)
    }
}

fn refused(why: &str) -> Fault {
    EngineError::new(Kind::CredentialsRefused, why.to_owned())
        .hint("let the server ask for scram-sha-256, and connect by TLS")
        .into()
}
