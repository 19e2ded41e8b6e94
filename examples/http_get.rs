//! Fetches a page over a TAP of its own: the ten lines of the README.
//!
//! As root: `cargo run --example http_get`, after a server listens on the kernel's side of `ws0`.

use std::io::{Read, Write};
use wirestack::device::{Tap, TapOptions};
use wirestack::link::Device;
use wirestack::net::TcpStream;
use wirestack::stack::InterfaceConfig;
use wirestack::{Config, Runtime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tap = Tap::open("ws0", &TapOptions::default())?;
    let interface = InterfaceConfig {
        name: "ws0".into(),
        mac: tap.peer_mac(),
        capabilities: tap.capabilities(),
        addresses: vec!["10.1.0.2/24".parse()?],
        detect_duplicates: true,
    };
    let mut builder = Runtime::builder(Config::default());
    builder.interface(Box::new(tap), interface);
    let runtime = builder.start()?;
    runtime.set_default();

    let mut stream = TcpStream::connect("10.1.0.1:80")?; // from here on as with std::net
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    println!("{}", String::from_utf8_lossy(&page));
    Ok(())
}
