//! Scripts: what one says ([`ast`]), how it is read (`parse`), the names it may use
//! ([`constants`]), and how a fault in it is told ([`error`]).

pub mod ast;
mod call;
pub mod constants;
pub mod error;
mod options;
mod packet;
pub mod parse;
mod show;
mod time;

pub use ast::*;
pub use error::ScriptError;
pub use options::{IpVersion, Settings};
pub use parse::parse;
pub use show::flags as show_flags;
