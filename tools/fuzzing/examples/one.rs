//! Runs one input of a target: `cargo run -p wirestack-fuzzing --example one -- TARGET FILE`.

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(file)) = (args.next(), args.next()) else {
        panic!("usage: one TARGET FILE");
    };
    let (_, target) = wirestack_fuzzing::TARGETS.iter().find(|t| t.0 == name).expect("no such target");
    target(&std::fs::read(file).unwrap());
}
