//! A private network namespace without a name (network_namespaces(7)).

use crate::child::Child;
use crate::error::{Attempt, Result};
use crate::link::Link;
use crate::netlink::Netlink;
use crate::sys;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// A network namespace of its own: interfaces, addresses, routes, ports, sysctls and packet filters
/// that no one else sees.
///
/// It has no name and no mount, only descriptors. When the last of them is closed (this value, the
/// processes and sockets in it), the kernel destroys it with all its virtual interfaces, whatever
/// way the process ended.
#[derive(Debug)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
    netlink: Netlink,
    /// A socket that lives in the namespace, for interface ioctls from any thread.
    control: OwnedFd,
}

impl Namespace {
    /// A new namespace with its loopback interface up.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`; [`crate::can_create`] says it in a sentence.
    pub fn new() -> Result<Self> {
        let ns = in_thread(|| {
            sys::unshare_network().attempt(|| "creating a network namespace".into())?;
            let fd = sys::current_namespace().attempt(|| "opening the new network namespace".into())?;
            Self::open_in_place(fd)
        })?;
        ns.link("lo").up()?;
        Ok(ns)
    }

    /// The namespace that `fd` refers to: `/run/netns/NAME`, or `/proc/PID/ns/net` of a process.
    ///
    /// # Errors
    /// `EINVAL` if it is no network namespace, `EPERM` without the right to enter it.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        in_thread(|| {
            sys::enter(fd.as_fd()).attempt(|| "entering a network namespace".into())?;
            Self::open_in_place(fd)
        })
    }

    /// Completes a namespace from a thread that is inside it.
    fn open_in_place(fd: OwnedFd) -> Result<Self> {
        Ok(Self {
            fd: Arc::new(fd),
            netlink: Netlink::open()?,
            control: sys::control_socket().attempt(|| "opening a control socket".into())?,
        })
    }

    /// A path under which another process of the same user can open it while this value lives, as
    /// for `nsenter --net=PATH`.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()).into()
    }

    /// Runs `f` on a thread inside the namespace and returns what it returned. Sockets and devices
    /// that `f` opens stay in the namespace wherever they are used later. A panic in `f` goes on
    /// in the caller.
    ///
    /// # Errors
    /// `EPERM` without the right to enter it; what `f` failed with.
    pub fn run<R: Send, E: Into<std::io::Error> + Send>(
        &self,
        f: impl FnOnce() -> std::result::Result<R, E> + Send,
    ) -> Result<R> {
        in_thread(|| {
            sys::enter(self.fd.as_fd()).attempt(|| "entering a network namespace".into())?;
            f().attempt(|| "inside the network namespace".into())
        })
    }

    /// Starts a thread inside the namespace that lives on by itself.
    ///
    /// # Errors
    /// As [`run`](Self::run), and if no thread can be had.
    pub fn thread<R: Send + 'static>(
        &self,
        name: &str,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> Result<JoinHandle<R>> {
        // A thread begins in the namespace of the thread that started it.
        self.run(|| thread::Builder::new().name(name.into()).spawn(f))
    }

    /// Starts a program inside the namespace, its output collected. It is killed when the [`Child`]
    /// is dropped and when the calling thread ends.
    ///
    /// # Errors
    /// `ENOENT` if there is no such program, `EPERM` without the right to enter the namespace.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        sys::start_in(command, Arc::clone(&self.fd));
        Child::start(command)
    }

    /// The interface of that name. It need not exist yet; calls on it then fail with `ENODEV`.
    pub fn link(&self, name: &str) -> Link<'_> {
        Link::new(self, name)
    }

    /// Makes a pair of Ethernet interfaces joined by a wire (veth(4)): `name` here and `peer_name`
    /// in `peer`, which may be this namespace. Both are down and have no addresses.
    ///
    /// # Errors
    /// `EEXIST` if a name is taken, `ERANGE` or `EINVAL` if one is empty or over 15 octets.
    pub fn add_veth<'a>(
        &'a self,
        name: &str,
        peer: &'a Self,
        peer_name: &str,
    ) -> Result<(Link<'a>, Link<'a>)> {
        self.netlink
            .add_veth(name, peer_name, peer.fd.as_fd())
            .attempt(|| format!("creating the veth pair {name}-{peer_name}"))?;
        Ok((self.link(name), peer.link(peer_name)))
    }

    /// Adds a route: packets to `dst/prefix_len` go to the gateway `via`, which must be on a link.
    ///
    /// # Errors
    /// `ENETUNREACH` or `EHOSTUNREACH` if the gateway is on no link, `EEXIST` if the route is there.
    pub fn add_route(&self, dst: IpAddr, prefix_len: u8, via: IpAddr) -> Result<()> {
        self.netlink
            .add_route(dst, prefix_len, via)
            .attempt(|| format!("adding the route {dst}/{prefix_len} via {via}"))
    }

    /// Sets a variable of the namespace, named as in sysctl(8): `net.ipv4.tcp_rmem`.
    ///
    /// # Errors
    /// `ENOENT` if there is no such variable, `EINVAL` if it does not take the value, `EPERM` if the
    /// machine does not allow the value in namespaces (a congestion control that is not in
    /// tcp_allowed_congestion_control).
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        // Interface names may hold dots; those are written with a slash in the place of each dot
        // by sysctl(8) too.
        let swapped: String = name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect();
        self.run(|| std::fs::write(format!("/proc/sys/{swapped}"), value))
            .map_err(|e| e.instead(format!("setting {name} to {value}")))
    }

    pub(crate) fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Runs `f` on a thread of its own, because the network namespace is a property of the thread and
/// the caller's must not change.
fn in_thread<R: Send>(f: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, f)
            .attempt(|| "starting a thread".into())?;
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
