//! How a runtime is put together.

use super::devices::Devices;
use super::handle::Runtime;
use super::shared::{Observer, Shared, now};
use crate::config::Config;
use crate::errno::Errno;
use crate::event::Event;
use crate::ip::Route;
use crate::link::Device;
use crate::stack::InterfaceConfig;
use crate::{IfaceId, Stack};
use std::boxed::Box;
use std::io::{self, Read};
use std::string::ToString;
use std::time::Duration;

/// Puts a [`Runtime`] together: interfaces first, then routes through them, then [`start`](Self::start).
///
/// Nothing is sent before the start.
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    stack: Stack,
    devices: Devices,
    observer: Option<Observer>,
    spin: Duration,
    name: std::string::String,
    error: Option<io::Error>,
}

impl Builder {
    pub(super) fn new(mut config: Config) -> Self {
        let mut error = None;
        if config.secret == [0, 0] {
            match random_secret() {
                Ok(secret) => config.secret = secret,
                Err(e) => error = Some(e),
            }
        }
        Self {
            stack: Stack::new(now(), config),
            devices: Devices::default(),
            observer: None,
            spin: Duration::ZERO,
            name: "wirestack".to_string(),
            error,
        }
    }

    /// Adds an interface. Its capabilities are the device's: what `config` says about them is
    /// overwritten.
    ///
    /// What goes wrong with the device's descriptor (EMFILE) is told by [`start`](Self::start).
    pub fn interface(&mut self, device: Box<dyn Device + Send>, mut config: InterfaceConfig) -> IfaceId {
        config.capabilities = device.capabilities();
        let name = config.name.clone();
        let iface = self.stack.add_interface(now(), config);
        if let Err(e) = self.devices.add(iface, name, device) {
            self.error.get_or_insert(e);
        }
        iface
    }

    /// Adds a route. The networks of the interfaces' addresses need none.
    ///
    /// # Errors
    /// As [`Stack::add_route`].
    pub fn route(&mut self, route: Route) -> Result<&mut Self, Errno> {
        self.stack.add_route(route)?;
        Ok(self)
    }

    /// The stack, to prepare it in ways that have no method here.
    pub fn stack(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// Has `observer` told of every diagnostic event ([`Config::events`] selects which are made; without
    /// an observer they are thrown away). It runs on whichever thread made the event happen, with the
    /// runtime's lock held: it must be quick, and must not call the runtime or its sockets, which would
    /// wait for ever. Sending the event to a channel is what it is made for.
    pub fn on_event(&mut self, observer: impl FnMut(&Event) + Send + 'static) -> &mut Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// How long the engine looks for frames before it sleeps; zero, the default, is not at all.
    /// 20 to 50 us cut the round-trip time on a machine with idle cores, and cost a core while there is
    /// traffic.
    pub fn spin(&mut self, time: Duration) -> &mut Self {
        self.spin = time;
        self
    }

    /// The engine thread's name, `wirestack` if not set. Linux shows 15 octets of it.
    pub fn thread_name(&mut self, name: impl Into<std::string::String>) -> &mut Self {
        self.name = name.into();
        self
    }

    /// Starts the engine.
    ///
    /// # Errors
    /// A descriptor or the thread could not be made.
    pub fn start(self) -> io::Result<Runtime> {
        if let Some(e) = self.error {
            return Err(e);
        }
        let shared = Shared::new(self.stack, self.devices, self.observer, self.spin)?;
        Runtime::start(shared, self.name)
    }
}

impl core::fmt::Debug for Builder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Builder").field("name", &self.name).field("spin", &self.spin).finish_non_exhaustive()
    }
}

/// Fresh bits for [`Config::secret`] from the kernel.
fn random_secret() -> io::Result<[u64; 2]> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let bits = u128::from_ne_bytes(bytes);
    Ok([bits as u64, (bits >> 64) as u64])
}
