//! The other side, with the kernel's own sockets: servers on threads inside a namespace, and a web
//! server by python3.
//!
//! A server ends when its value is dropped; connections that are open then end by themselves when
//! their peer does, or with the namespace.

mod http;
mod tcp;

pub use http::{HttpServer, serve_directory};
pub use tcp::{Server, echo, receive_pattern, send_pattern, sink, source};
