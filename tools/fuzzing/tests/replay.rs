//! Every input of the corpora, seeds and past findings alike, runs through its target without a fuzzer.

use std::path::Path;
use std::{fs, thread};

#[test]
fn every_input_of_the_corpora_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in wirestack_fuzzing::TARGETS {
        let folder = root.join(name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|f| f.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() > 5, "{}: the seeds are gone", folder.display());
        let failed: Vec<_> = files
            .iter()
            .filter(|file| {
                let data = fs::read(file).unwrap();
                thread::Builder::new()
                    .name(format!("{name} {}", file.file_name().unwrap().display()))
                    .spawn(move || target(&data))
                    .unwrap()
                    .join()
                    .is_err()
            })
            .collect();
        assert!(failed.is_empty(), "{name}: {failed:?}");
    }
}

/// The stage is worth its name: a connection, a half-open one or a record is in every state.
#[test]
fn the_stage_has_every_state() {
    use std::collections::BTreeSet;
    use wirestack::tcp::State;
    use wirestack_fuzzing::stage::{Setting, Stage};
    for look in [0, 1, 2, 4, 8, 16, 28, 32, 64] {
        let mut stage = Stage::new(Setting { look, cast: 0xffff, irs: u32::MAX });
        stage.play();
        let there: BTreeSet<State> = stage.stack.sockets().iter().map(|s| s.state).collect();
        let missing: Vec<_> = State::ALL.iter().filter(|s| !there.contains(s)).collect();
        let simultaneous =
            |s: &wirestack::socket::SocketSummary| s.socket.is_some() && s.state == State::SynReceived;
        assert!(stage.stack.sockets().iter().any(simultaneous), "look {look}: no simultaneous open");
        // Datagram sockets count as closed.
        assert!(missing.is_empty(), "look {look}: no {missing:?}");
        let queued = stage.stack.sockets().iter().filter(|s| s.recv_queue > 0 && s.socket.is_some()).count();
        assert!(queued >= 3, "look {look}: {queued} with unread data");
    }
}

/// The seeds of `operations` are dialogues that still say something.
#[test]
fn the_dialogues_carry_data() {
    let outcome = |name: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/operations").join(name);
        wirestack_fuzzing::operations::run(&fs::read(file).unwrap())
    };
    for (name, connections, octets, ends) in [
        ("plain", 1, 4060, 0),
        ("open-end", 1, 4060, 2),
        ("storm-open-end", 1, 20_000, 2),
        ("offloads", 1, 20_000, 0),
        ("small-buffers", 1, 4000, 2),
        ("simultaneous-open", 1, 256, 0),
        ("urgent-in-storm", 1, 4000, 2),
        ("backlog", 1, 0, 2),
    ] {
        let o = outcome(name);
        println!("{name}: {o:?}");
        assert!(o.connections >= connections && o.octets >= octets && o.ends >= ends, "{name}: {o:?}");
    }
}
