//! What all clients of the process share: connections, rates, names, trust.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;

use crate::limits::{REMOTE_NAMES_MAX, REMOTE_NAMES_MS, REMOTE_SERVICES_MAX};
use crate::remote::budget::Budget;
use crate::remote::cache::{Bounds, Cache};
use crate::remote::call::{Class, Failure};
use crate::remote::connection::Connection;
use crate::remote::origin::Origin;
use crate::remote::patience::Patience;
use crate::remote::pool::Pool;
use crate::remote::proxy::{Proxies, Proxy};
use crate::remote::service::Service;
use crate::remote::settings::Settings;
use crate::remote::stream::Stream;
use crate::remote::tls::{TlsStream, Trusts};
use crate::remote::{connect, resolve};
use crate::resource::cancel::Switch;

static SHARED: LazyLock<Arc<Transport>> = LazyLock::new(Arc::default);

/// The shared part of all clients. One for the process, unless a test wants its own.
pub struct Transport {
    pub(super) pool: Pool,
    pub(super) budget: Budget,
    services: Mutex<HashMap<Origin, Arc<Service>>>,
    names: Cache<(Arc<str>, u16), Arc<[SocketAddr]>>,
    trusts: Trusts,
    proxies: Proxies,
    /// Which address of several is next.
    turn: AtomicUsize,
}

impl Default for Transport {
    fn default() -> Self {
        let age = Duration::from_millis(REMOTE_NAMES_MS);
        Self {
            pool: Pool::default(),
            budget: Budget::new(),
            services: Mutex::default(),
            names: Cache::new(Bounds { entries: REMOTE_NAMES_MAX, bytes: usize::MAX, age }),
            trusts: Trusts::default(),
            proxies: Proxies::of_environment(),
            turn: AtomicUsize::new(0),
        }
    }
}

impl Transport {
    /// That of the process.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Arc::clone(&SHARED)
    }

    /// With these proxies in place of the environment's.
    #[must_use]
    pub fn by(proxies: Proxies) -> Self {
        Self { proxies, ..Self::default() }
    }

    /// The proxy by which a service is asked.
    ///
    /// # Errors
    /// `Invalid` where the environment names what is none.
    pub(super) fn proxy(
        &self,
        origin: &Origin,
        settings: &Settings,
    ) -> Result<Option<&Proxy>, Failure> {
        // A metadata service is the machine's own.
        if settings.imds { Ok(None) } else { self.proxies.for_origin(origin) }
    }

    /// What is known of a service.
    pub(super) fn service(&self, origin: &Origin) -> Arc<Service> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = services.get(origin) {
            return Arc::clone(service);
        }
        if services.len() >= REMOTE_SERVICES_MAX {
            services.retain(|_, service| Arc::strong_count(service) > 1);
        }
        let service = Arc::new(Service::new());
        services.insert(origin.clone(), Arc::clone(&service));
        service
    }

    /// A new connection.
    ///
    /// # Errors
    /// `Unreachable`, `Tls`, `Timeout`, `Cancelled`. Nothing of the request was sent.
    pub(super) fn connect(
        &self,
        origin: &Origin,
        settings: &Settings,
        switch: &Switch,
    ) -> Result<Connection, Failure> {
        let config = origin.tls.then(|| self.trust(settings)).transpose()?;
        let proxy = self.proxy(origin, settings)?;
        let place = proxy.map_or(origin, |proxy| &proxy.origin);
        let socket = self.connect_plain(place, settings, switch)?;
        let Some(config) = config else { return Ok(Connection::new(Stream::Plain(socket))) };
        let mut patience = Patience::new(switch, settings.waits, false);
        let socket = match proxy {
            Some(proxy) => self.through(proxy, origin, socket, &mut patience)?,
            None => socket,
        };
        let stream = TlsStream::begin(socket, &origin.host, config, &mut patience)?;
        Ok(Connection::new(Stream::Tls(Box::new(stream))))
    }

    /// Has a proxy let a socket through to a service.
    fn through(
        &self,
        proxy: &Proxy,
        origin: &Origin,
        socket: TcpStream,
        patience: &mut Patience,
    ) -> Result<TcpStream, Failure> {
        let mut connection = Connection::new(Stream::Plain(socket));
        connection.send(&[&proxy.connect(origin)], patience)?;
        // Whatever a success says of a body, none follows it.
        let (head, ..) = connection.answer("HEAD", patience)?;
        match head.status {
            200..300 => connection.into_socket(),
            status => Err(proxy.refused(status)),
        }
    }

    /// Whom these settings trust.
    ///
    /// # Errors
    /// `Tls` where no authority can be read.
    pub(super) fn trust(&self, settings: &Settings) -> Result<Arc<ClientConfig>, Failure> {
        self.trusts.of(settings)
    }

    /// A connected socket, without TLS.
    ///
    /// # Errors
    /// As [`Transport::connect`].
    pub(super) fn connect_plain(
        &self,
        origin: &Origin,
        settings: &Settings,
        switch: &Switch,
    ) -> Result<TcpStream, Failure> {
        let addresses = self.addresses(origin, settings, switch)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let connected = connect::connect(&addresses, turn, settings.waits.connect, switch);
        connected.inspect_err(|_| {
            self.names.forget(&(Arc::clone(&origin.host), origin.port));
        })
    }

    fn addresses(
        &self,
        origin: &Origin,
        settings: &Settings,
        switch: &Switch,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let key = (Arc::clone(&origin.host), origin.port);
        let all = match self.names.find(&key) {
            Some(known) => known,
            None => {
                let (host, port) = (&origin.host, origin.port);
                let found = resolve::resolve(host, port, settings.waits.connect, switch)?;
                let found: Arc<[SocketAddr]> = found.into();
                self.names.put(key, Arc::clone(&found), 0);
                found
            }
        };
        let may = |address: &&SocketAddr| settings.imds || !connect::is_metadata(address.ip());
        let addresses: Vec<SocketAddr> = all.iter().filter(may).copied().collect();
        if addresses.is_empty() && !all.is_empty() {
            let message = "the address is that of a metadata service, which imds does not allow";
            return Err(Failure::of(Class::Invalid, message));
        }
        Ok(addresses)
    }
}
