//! What the machine must give, and one sentence for what it does not.

use crate::{Namespace, sys};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::PathBuf;

/// Something that a test or a command needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The right to make network namespaces and interfaces in them.
    Namespaces,
    /// `/dev/net/tun`, for TAP interfaces.
    Tun,
    /// A program in `PATH`.
    Program(&'static str),
}

impl Need {
    /// Is it there?
    ///
    /// # Errors
    /// One sentence that says what is missing and what to do.
    pub fn check(self) -> Result<(), String> {
        match self {
            Self::Namespaces => namespaces(),
            Self::Tun => tun(),
            Self::Program(name) => match find_program(name) {
                Some(_) => Ok(()),
                None => Err(format!("the program {name} is not installed")),
            },
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespaces => f.write_str("network namespaces"),
            Self::Tun => f.write_str("/dev/net/tun"),
            Self::Program(name) => write!(f, "the program {name}"),
        }
    }
}

/// Can network namespaces with TAP interfaces be made here?
///
/// # Errors
/// One sentence that says what is missing and what to do.
pub fn can_create() -> Result<(), String> {
    Need::Namespaces.check()?;
    Need::Tun.check()
}

fn namespaces() -> Result<(), String> {
    Namespace::new().map(drop).map_err(|e| match e.io().kind() {
        ErrorKind::PermissionDenied => {
            "no permission to create network namespaces: run as root (CAP_SYS_ADMIN and CAP_NET_ADMIN)".into()
        }
        _ => format!("no network namespaces: {e}"),
    })
}

fn tun() -> Result<(), String> {
    let path = "/dev/net/tun";
    OpenOptions::new().read(true).write(true).open(path).map(drop).map_err(|e| match e.kind() {
        ErrorKind::NotFound => format!("there is no {path}: load the kernel module (modprobe tun)"),
        ErrorKind::PermissionDenied => format!("no permission to open {path}: run as root"),
        _ => format!("cannot open {path}: {e}"),
    })
}

/// Where `PATH` has the program.
pub fn find_program(name: &str) -> Option<PathBuf> {
    use rustix::fs::{Access, access};
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok())
}

/// Makes the process root of a user namespace of its own (user_namespaces(7)), so that an ordinary
/// user can make network namespaces where the system permits it. Call it first in `main`, before any
/// thread is started. It cannot be undone: files of other users are out of reach afterwards.
///
/// # Errors
/// `EINVAL` in a process with several threads; `EPERM` or `ENOSPC` where the system forbids it.
pub fn become_root_of_user_namespace() -> crate::Result<()> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let map = || {
        sys::unshare_user()?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
    };
    map().map_err(|e| crate::Error::new("creating a user namespace", e))
}

/// Does a missing prerequisite fail a test? On a continuous-integration machine (`CI=true`) it does,
/// so that nothing is skipped there without notice; on a user's machine it does not.
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|v| v == "true")
}

/// What a test returns that was skipped; see [`require!`](crate::require).
#[doc(hidden)]
pub trait Skipped {
    fn skipped() -> Self;
}

impl Skipped for () {
    fn skipped() {}
}

impl<E> Skipped for Result<(), E> {
    fn skipped() -> Self {
        Ok(())
    }
}

/// First line of a test that wants something of the machine: `require!(Namespaces, Tun,
/// Program("curl"))`. If something is missing the test says so and returns, or fails when `CI=true`.
#[macro_export]
macro_rules! require {
    ($($need:expr),+ $(,)?) => {{
        #[allow(unused_imports)]
        use $crate::needs::Need::*;
        for need in [$($need),+] {
            if let Err(reason) = $crate::needs::Need::check(need) {
                assert!(!$crate::needs::is_ci(), "CI=true, and {reason}");
                println!("skipped: {reason}");
                return $crate::needs::Skipped::skipped();
            }
        }
    }};
}
