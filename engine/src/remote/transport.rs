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
        let socket = self.connect_plain(origin, settings, switch)?;
        let Some(config) = config else { return Ok(Connection::new(Stream::Plain(socket))) };
        let mut patience = Patience::new(switch, settings.waits, false);
        let stream = TlsStream::begin(socket, &origin.host, config, &mut patience)?;
        Ok(Connection::new(Stream::Tls(Box::new(stream))))
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
