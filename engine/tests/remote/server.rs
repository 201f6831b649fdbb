//! A server that answers as a test tells it: one thread for each connection, real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use migration_engine::remote::origin::Origin;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub line: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// A connection of the server's.
pub struct Peer {
    pub socket: TcpStream,
    ahead: Vec<u8>,
    /// Number of the connection, from 0.
    pub number: usize,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Peer {
    /// Reads a request; `None` at the end.
    pub fn request(&mut self) -> Option<Asked> {
        let end = loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head: Vec<u8> = self.ahead.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let mut asked = Asked { line: lines.next().unwrap().to_owned(), ..Asked::default() };
        asked.fields = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = asked.get("content-length").map_or(0, |text| text.parse().unwrap());
        while self.ahead.len() < length {
            self.more()?;
        }
        asked.body = self.ahead.drain(..length).collect();
        self.seen.lock().unwrap().push(asked.clone());
        Some(asked)
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 16 << 10];
        match self.socket.read(&mut buffer) {
            Ok(count) if count > 0 => self.ahead.extend(&buffer[..count]),
            _ => return None,
        }
        Some(())
    }

    /// Sends bytes; whether they went.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).is_ok()
    }

    /// Answers with a body of known length.
    pub fn answer(&mut self, status: u16, fields: &str, body: &[u8]) {
        let mut bytes =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{fields}\r\n", body.len())
                .into_bytes();
        bytes.extend(body);
        self.say(bytes);
    }

    /// Closes so that the other side sees a reset.
    pub fn reset(&self) {
        let socket =
            rustix::net::sockopt::set_socket_linger(&self.socket, Some(std::time::Duration::ZERO));
        socket.unwrap();
    }
}

/// A running server. It ends with its last handle.
pub struct Server {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Asked>>>,
    listens: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one whose connections are handled so.
    pub fn start(handle: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = Self {
            address: listener.local_addr().unwrap(),
            stop: Arc::default(),
            connections: Arc::default(),
            seen: Arc::default(),
            listens: None,
        };
        let (stop, seen) = (Arc::clone(&server.stop), Arc::clone(&server.seen));
        let (connections, handle) = (Arc::clone(&server.connections), Arc::new(handle));
        server.listens = Some(std::thread::spawn(move || {
            for socket in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(socket) = socket else { continue };
                socket.set_nodelay(true).unwrap();
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (handle, seen) = (Arc::clone(&handle), Arc::clone(&seen));
                std::thread::spawn(move || {
                    handle(&mut Peer { socket, ahead: Vec::new(), number, seen });
                });
            }
        }));
        server
    }

    /// Starts one that answers each request so, on connections that are kept.
    pub fn answering(answer: impl Fn(&mut Peer, Asked) + Send + Sync + 'static) -> Self {
        Self::start(move |peer| {
            while let Some(asked) = peer.request() {
                answer(peer, asked);
            }
        })
    }

    /// Starts one that says these bytes to each request, and closes.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |peer| {
            if peer.request().is_some() {
                peer.say(&bytes);
                drop(peer.socket.shutdown(Shutdown::Write));
            }
        })
    }

    pub fn origin(&self) -> Origin {
        Origin::parse(&format!("http://{}", self.address)).unwrap().0
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests that came whole.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        drop(self.listens.take().map(JoinHandle::join));
    }
}
