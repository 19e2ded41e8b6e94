//! The shared library that packetdrill loads to test a stack in userspace:
//!
//! ```text
//! packetdrill --so_filename=.../libwirestack_packetdrill.so [--so_flags=profile=linux,mtu=1500] x.pkt
//! ```
//!
//! `LD_PRELOAD` of the same file lets `%{ tcpi_... }%` see the stack's TCP_INFO, and makes a script
//! take milliseconds instead of the ticks of a clock (see [`preload`]).
//!
//! `so_flags` is a list of `local=ADDRESS`, `mtu=OCTETS`, `profile=linux|freebsd|rfc`,
//! `peer=ADDRESS` (taken and not needed) and `clock=virtual`. Addresses that packets come to, and that
//! sockets are bound to, are taken as the stack's own without being named.
//!
//! Read in this order: [`abi`] (the table), [`engine`] (the stack, the virtual clock, who sleeps),
//! [`calls`], [`message`], [`sockopt`], [`select`], [`wire`] (packets and time), [`preload`].
#![allow(unsafe_code)]

pub mod abi;
pub mod calls;
pub mod engine;
pub mod info;
pub mod message;
pub mod name;
pub mod preload;
pub mod select;
pub mod sockopt;
pub mod wire;

use std::ffi::{CStr, c_char};

/// Called by packetdrill once, before the first line of the script.
///
/// # Safety
/// `flags` is null or a C string; `table` is null or points to a table as [`abi::Interface`] describes
/// it that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, table: *mut abi::Interface) {
    let flags = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: not null, hence a C string by the contract of this function.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned()
    };
    engine::start(&flags);
    // SAFETY: null, or a table to write, by the contract of this function.
    if let Some(table) = unsafe { table.as_mut() } {
        *table = abi::Interface::new();
    }
}
