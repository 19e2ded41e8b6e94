//! Every script of `tests/scripts` passes, each also with the peer's and our sequence numbers close
//! to their wrap, and says in its first line what it is about.

use std::path::{Path, PathBuf};
use wirestack_drill::command::{Arguments, run_file, scripts};
use wirestack_drill::run::RunOptions;

fn all() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts");
    let files = scripts(&[root]).expect("the folder can be read");
    assert!(files.len() >= 60, "only {} scripts were found", files.len());
    files
}

fn failures(options: &RunOptions) -> Vec<String> {
    let run = |path: &PathBuf| {
        let a = Arguments { options: options.clone(), ..Arguments::default() };
        match run_file(path, &a) {
            // What this stack does not have would make a script pass that tests nothing.
            Ok(report) => {
                let missing = report.notes.iter().find(|n| n.starts_with("not supported"));
                missing.map(|n| format!("{}: {n}", path.display()))
            }
            Err(e) => Some(e),
        }
    };
    all().iter().filter_map(run).collect()
}

#[test]
fn every_script_passes() {
    let failed = failures(&RunOptions { strict: true, ..RunOptions::default() });
    assert!(failed.is_empty(), "{} failed\n\n{}", failed.len(), failed.join("\n\n"));
}

#[test]
fn every_script_passes_where_sequence_numbers_wrap() {
    for (peer_offset, secret) in [(0xffff_ff00, [1, 2]), (0x7fff_fe00, [3, 4]), (0xffff_fffe, [5, 6])] {
        let failed = failures(&RunOptions { strict: true, peer_offset, secret, ..RunOptions::default() });
        let n = failed.len();
        assert!(failed.is_empty(), "with {peer_offset:#x}: {n} failed\n\n{}", failed.join("\n\n"));
    }
}

#[test]
fn every_script_says_what_it_is_about() {
    for path in all() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let first = text.lines().next().unwrap_or("");
        let said = first.strip_prefix("// ").unwrap_or("");
        assert!(said.len() > 20 && said.ends_with('.'), "{}: the first line says nothing", path.display());
    }
}
