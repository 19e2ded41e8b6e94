//! An ordinary user's way to a network namespace. A program of its own without the test harness,
//! because only a process with a single thread can make a user namespace.

use std::net::{TcpListener, TcpStream};
use wirestack_lab::{Namespace, needs};

fn main() {
    let outside = std::fs::File::open("/proc/self/ns/net").expect("the network namespace of this process");
    if let Err(e) = needs::become_root_of_user_namespace() {
        // Many containers and some distributions forbid it; that is their right, also on a CI machine.
        println!("skipped: {e}");
        return;
    }
    assert!(rustix::process::geteuid().is_root());
    let ns = Namespace::new().expect("a namespace as root of a user namespace");
    ns.add_veth("a", &ns, "b").expect("a veth pair as root of a user namespace");
    ns.link("a").up().expect("the right to bring an interface up");
    let listener = ns.run(|| TcpListener::bind("127.0.0.1:80")).expect("a privileged port");
    let addr = listener.local_addr().expect("its address");
    ns.run(|| TcpStream::connect(addr)).expect("a connection inside");
    // It gives no right over the network outside, not even to root.
    let refused = Namespace::from_fd(outside.into()).expect_err("no way back");
    assert_eq!(refused.io().raw_os_error(), Some(1), "EPERM");
    println!("test result: ok. a network namespace inside a user namespace");
}
