//! The handshake: who the server is, TLS, who we are.

use secrecy::{ExposeSecret as _, zeroize::Zeroizing};

use crate::error::{EngineError, Kind};

use super::auth;
use super::config::Config;
use super::cut::Cut;
use super::error::{Asked, Fault};
use super::packet::{HEAD, Wire};
use super::session::refusal;

/// Longest packet before the login, bytes.
const PACKET_MAX: usize = 64 << 10;
/// Rounds of a login at most.
const ROUNDS: usize = 8;
/// `utf8mb4_general_ci`, which every server knows.
const CHARSET: u8 = 45;

const LONG_PASSWORD: u32 = 1;
const LONG_FLAG: u32 = 1 << 2;
const CONNECT_WITH_DB: u32 = 1 << 3;
const LOCAL_FILES: u32 = 1 << 7;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
const PLUGIN_AUTH_LENENC: u32 = 1 << 21;
const DEPRECATE_EOF: u32 = 1 << 24;

/// What a server says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// Its version as it writes it.
    pub version: String,
    /// Whether it is MariaDB; MySQL otherwise.
    pub maria: bool,
    /// Major and minor number.
    pub number: (u32, u32),
    /// The session's number there.
    pub id: u32,
    /// Whether results end by an OK packet.
    pub deprecates_eof: bool,
    /// What it can do, as it says.
    pub capabilities: u32,
    /// How it wants to be convinced.
    pub plugin: String,
    /// What the proof is made of.
    pub nonce: Vec<u8>,
}

impl Server {
    fn parse(packet: &[u8]) -> Option<Self> {
        let mut cut = Cut(packet);
        if cut.u8()? != 10 {
            return None;
        }
        let version = String::from_utf8_lossy(cut.until_nul()).into_owned();
        let version = version.strip_prefix("5.5.5-").map_or(version.clone(), str::to_owned);
        let id = cut.uint(4)? as u32;
        let mut nonce = cut.bytes(8)?.to_vec();
        cut.u8()?;
        let low = cut.uint(2)? as u32;
        cut.bytes(3)?;
        let capabilities = low | (cut.uint(2)? as u32) << 16;
        let more = usize::from(cut.u8()?).saturating_sub(8).max(13);
        cut.bytes(10)?;
        nonce.extend_from_slice(cut.bytes(more.min(cut.0.len()))?);
        while nonce.last() == Some(&0) && nonce.len() > 20 {
            nonce.pop();
        }
        let plugin = String::from_utf8_lossy(cut.until_nul()).into_owned();
        let maria = version.to_ascii_lowercase().contains("mariadb");
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let number = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let deprecates_eof = capabilities & DEPRECATE_EOF != 0;
        Some(Self { version, maria, number, id, deprecates_eof, capabilities, plugin, nonce })
    }

    /// Whether it is at least this version of MariaDB, or of MySQL.
    pub(super) fn is_at_least(&self, maria: (u32, u32), mysql: (u32, u32)) -> bool {
        self.number >= if self.maria { maria } else { mysql }
    }
}

/// Logs in. `writes`: whether files may be asked for, which [`super::load`] answers from memory.
///
/// # Errors
/// `DatabaseVersion`, `TlsRefused`, `CredentialsRefused`, `DatabaseNotFound`, those of the wire.
pub(super) fn login(wire: &mut Wire, config: &Config, writes: bool) -> Asked<Server> {
    let packet = wire.packet(PACKET_MAX)?;
    if packet.first() == Some(&0xff) {
        return Err(refusal(packet));
    }
    let server = Server::parse(packet)
        .ok_or_else(|| Fault::garbled("the server does not greet as MySQL or MariaDB does"))?;
    if !server.is_at_least((10, 5), (8, 0)) || server.capabilities & PROTOCOL_41 == 0 {
        let message = format!("the server is {}", server.version);
        let error = EngineError::new(Kind::DatabaseVersion, message);
        return Err(error.hint("MariaDB 10.5 and MySQL 8.0 are the oldest that are known").into());
    }
    let ours = LONG_PASSWORD | LONG_FLAG | CONNECT_WITH_DB | PROTOCOL_41 | TRANSACTIONS;
    let ours = ours | SECURE_CONNECTION | PLUGIN_AUTH | PLUGIN_AUTH_LENENC | DEPRECATE_EOF;
    let ours = ours | if writes { LOCAL_FILES } else { 0 };
    let mut agreed = ours & server.capabilities;
    if config.wants_tls() && server.capabilities & SSL != 0 {
        agreed |= SSL;
        let mut frame = head(agreed);
        wire.send(&mut frame)?;
        wire.secure()?;
    } else if config.needs_tls() {
        let error = EngineError::new(Kind::TlsRefused, "the server offers no TLS");
        return Err(error.hint("only servers of this machine are talked to without").into());
    }
    answer(wire, config, &server, agreed)?;
    rounds(wire, config, &server.plugin)?;
    Ok(server)
}

fn head(capabilities: u32) -> Vec<u8> {
    let mut frame = vec![0; HEAD];
    frame.extend_from_slice(&capabilities.to_le_bytes());
    frame.extend_from_slice(&(64u32 << 20).to_le_bytes());
    frame.push(CHARSET);
    frame.extend_from_slice(&[0; 23]);
    frame
}

fn answer(wire: &mut Wire, config: &Config, server: &Server, agreed: u32) -> Asked<()> {
    let mut frame = head(agreed);
    frame.extend_from_slice(config.user.as_bytes());
    frame.push(0);
    let proof = proof(&server.plugin, config, &server.nonce).unwrap_or_default();
    frame.push(proof.len() as u8);
    frame.extend_from_slice(&proof);
    if agreed & CONNECT_WITH_DB != 0 {
        frame.extend_from_slice(config.database.as_bytes());
        frame.push(0);
    }
    if agreed & PLUGIN_AUTH != 0 {
        let known = proof_known(&server.plugin);
        let plugin = if known { server.plugin.as_str() } else { "mysql_native_password" };
        frame.extend_from_slice(plugin.as_bytes());
        frame.push(0);
    }
    wire.send(&mut frame)
}

fn proof_known(plugin: &str) -> bool {
    matches!(plugin, "mysql_native_password" | "caching_sha2_password")
}

fn proof(plugin: &str, config: &Config, nonce: &[u8]) -> Option<Vec<u8>> {
    let nonce = nonce.get(..20).unwrap_or(nonce);
    match plugin {
        "mysql_native_password" => Some(auth::native(&config.password, nonce)),
        "caching_sha2_password" => Some(auth::caching_sha2(&config.password, nonce)),
        _ => None,
    }
}

fn rounds(wire: &mut Wire, config: &Config, plugin: &str) -> Asked<()> {
    let mut plugin = plugin.to_owned();
    for _ in 0..ROUNDS {
        let packet = wire.packet(PACKET_MAX)?;
        let mut cut = Cut(packet);
        let reply = match cut.u8() {
            Some(0) => return Ok(()),
            Some(0xff) => return Err(refusal(packet)),
            Some(0xfe) => {
                plugin = String::from_utf8_lossy(cut.until_nul()).into_owned();
                proof(&plugin, config, cut.until_nul()).ok_or_else(|| unknown(&plugin))?
            }
            Some(1) if plugin == "caching_sha2_password" => match cut.u8() {
                Some(3) => continue,
                Some(4) => clear(wire, config)?,
                _ => return Err(Fault::garbled("the server asks for an unknown proof")),
            },
            _ => return Err(Fault::garbled("the server answers a login in no known way")),
        };
        let mut frame = Zeroizing::new(vec![0; HEAD]);
        frame.extend_from_slice(&reply);
        wire.send(&mut frame)?;
    }
    Err(Fault::garbled("the server's login has no end"))
}

fn unknown(plugin: &str) -> Fault {
    let shown: String = plugin.chars().filter(|c| !c.is_control()).take(64).collect();
    let message = format!("the account wants a login by {shown}");
    let error = EngineError::new(Kind::Unsupported, message);
    error.hint("mysql_native_password and caching_sha2_password are known").into()
}

/// The password itself, which `caching_sha2_password` wants once after each change of it.
fn clear(wire: &Wire, config: &Config) -> Asked<Vec<u8>> {
    if !wire.is_secure() {
        let message = "the server wants the password itself, and the connection has no TLS";
        let error = EngineError::new(Kind::TlsRefused, message);
        return Err(error.hint("set tls_ca, or tls_insecure, so that TLS is used").into());
    }
    let mut reply = config.password.expose_secret().to_vec();
    reply.push(0);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::{packet, wire};
    use super::*;
    use crate::model::location::Location;
    use crate::remote::ties::Ties;

    fn greeting(version: &str, capabilities: u32) -> Vec<u8> {
        let [a, b, c, d] = capabilities.to_le_bytes();
        let mut said = [b"\x0a", version.as_bytes(), b"\0\x07\0\0\0", b"12345678\0"].concat();
        said.extend_from_slice(&[a, b, 45, 2, 0, c, d, 21]);
        said.extend_from_slice(&[0; 10]);
        said.extend_from_slice(b"123456789012\0mysql_native_password\0");
        said
    }

    fn tried(said: &[Vec<u8>], url: &str) -> Asked<Server> {
        let location = Location::parse(url.as_bytes(), Vec::new()).unwrap();
        let config = Config::of(&location, &Ties::default()).unwrap();
        let turns = [0u8, 2, 4];
        let said = said.iter().zip(turns).flat_map(|(said, turn)| packet(turn, said)).collect();
        let (mut wire, _) = wire(said, 3);
        login(&mut wire, &config, true)
    }

    const HERE: &str = "mysql://u@127.0.0.1/d";

    #[test]
    fn greetings_are_understood_or_refused_by_name() {
        let all = !SSL;
        let said = [greeting("5.5.5-10.11.19-MariaDB", all), b"\0\0\0\x02\0\0\0".to_vec()];
        let server = tried(&said, HERE).unwrap();
        assert!(server.maria && server.number == (10, 11) && server.id == 7);
        let kind = |said: &[Vec<u8>], url| tried(said, url).unwrap_err().error.kind();
        assert_eq!(kind(&[greeting("5.7.44", all)], HERE), Kind::DatabaseVersion);
        assert_eq!(kind(&[greeting("9.7.4", all)], "mysql://u@10.0.0.1/d"), Kind::TlsRefused);
        assert_eq!(kind(&[b"SSH-2.0-x\r\n".to_vec()], HERE), Kind::RemoteAnswer);
        assert_eq!(kind(&[b"\xff\x10\x04Too many".to_vec()], HERE), Kind::RemoteUnavailable);
        let whole = greeting("9.7.4", all);
        for end in 0..whole.len() {
            let _ = Server::parse(&whole[..end]);
        }
    }

    #[test]
    fn passwords_never_go_in_the_clear() {
        let first = greeting("9.7.4", !SSL);
        let switch = b"\xfecaching_sha2_password\x0012345678901234567890\0".to_vec();
        let kind = |said: &[Vec<u8>]| tried(said, HERE).unwrap_err().error.kind();
        assert_eq!(kind(&[first.clone(), switch, b"\x01\x04".to_vec()]), Kind::TlsRefused);
        let clear = b"\xfemysql_clear_password\0".to_vec();
        assert_eq!(kind(&[first, clear]), Kind::Unsupported);
    }
}
