//! `wirestack-drill [--profile linux|freebsd|rfc] [-v] FILE...`

use crate::run::{RunOptions, run};
use crate::script::{ScriptError, Settings, parse};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use wirestack::Profile;

const USAGE: &str = "\
Runs scripts in packetdrill's language against the stack, in virtual time.

usage: wirestack-drill [options] FILE.pkt|DIRECTORY ...

  --profile linux|freebsd|rfc   whose look the stack has (linux)
  --strict                      unexpected packets at the moment of the last event fail, too
  -D NAME=VALUE                 put VALUE in for the word NAME
  -v, --verbose                 show every step, and what was ignored
  --NAME=VALUE                  an option of scripts, such as --ip_version=ipv6
  -h, --help                    this text";

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// How to run.
    pub options: RunOptions,
    /// What scripts start from.
    pub settings: Settings,
    /// Words to put in.
    pub defines: Vec<(String, String)>,
    /// Tell everything.
    pub verbose: bool,
    /// Scripts and directories.
    pub files: Vec<PathBuf>,
}

/// Reads the command line. `Ok(None)`: only help was asked for.
///
/// # Errors
/// What is wrong with it.
pub fn arguments(words: impl IntoIterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut a = Arguments::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-h" | "--help" => return Ok(None),
            "-v" | "--verbose" => a.verbose = true,
            "--strict" => a.options.strict = true,
            "--profile" => a.options.profile = profile(&words.next().unwrap_or_default())?,
            "-D" => a.defines.push(define(&words.next().unwrap_or_default())?),
            w if w.starts_with("-D") => a.defines.push(define(&w[2..])?),
            w if w.starts_with("--") => {
                let (name, value) = w[2..].split_once('=').unwrap_or((&w[2..], ""));
                match name {
                    "profile" => a.options.profile = profile(value)?,
                    "define" => a.defines.push(define(value)?),
                    _ => a.settings.set(name, value)?,
                }
            }
            w if w.starts_with('-') && w.len() > 1 => return Err(format!("unknown option {w}")),
            w => a.files.push(w.into()),
        }
    }
    if a.files.is_empty() { Err("which scripts?".into()) } else { Ok(Some(a)) }
}

fn profile(name: &str) -> Result<Profile, String> {
    match name {
        "linux" => Ok(Profile::linux()),
        "freebsd" => Ok(Profile::freebsd()),
        "rfc" => Ok(Profile::rfc()),
        _ => Err(format!("the profile is linux, freebsd or rfc, not \"{name}\"")),
    }
}

fn define(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((n, v)) if !n.is_empty() => Ok((n.into(), v.into())),
        _ => Err(format!("-D wants NAME=VALUE, not \"{text}\"")),
    }
}

/// Scripts of the files and directories given, those of a directory in order of their names.
///
/// # Errors
/// A directory that cannot be read.
pub fn scripts(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut out = Vec::new();
    for p in paths {
        if !p.is_dir() {
            out.push(p.clone());
            continue;
        }
        let entries = std::fs::read_dir(p).map_err(|e| format!("{}: {e}", p.display()))?;
        let mut inside: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        inside.retain(|f| f.is_dir() || f.extension().is_some_and(|x| x == "pkt"));
        inside.sort();
        out.extend(scripts(&inside)?);
    }
    Ok(out)
}

/// Runs one file.
///
/// # Errors
/// In words, with the place.
pub fn run_file(path: &Path, a: &Arguments) -> Result<crate::run::Report, String> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|e| format!("{name}: {e}"))?;
    let text = String::from_utf8_lossy(&text);
    let told = |e: Box<ScriptError>| e.to_string();
    let script = parse(&name, &text, &a.defines, &a.settings).map_err(told)?;
    run(&script, &a.options).map_err(told)
}

/// The command. The arguments come without the program's name.
pub fn main(words: impl IntoIterator<Item = String>) -> ExitCode {
    let a = match arguments(words) {
        Ok(Some(a)) => a,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            eprintln!("wirestack-drill: {e}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let files = match scripts(&a.files) {
        Ok(f) => f,
        Err(e) => {
            eprintln!("wirestack-drill: {e}");
            return ExitCode::from(2);
        }
    };
    let (mut passed, mut failed) = (0, 0);
    for path in &files {
        let begun = Instant::now();
        let result = run_file(path, &a);
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        match result {
            Ok(report) => {
                passed += 1;
                println!("ok    {} ({ms:.1} ms)", path.display());
                report.printed.iter().for_each(|l| println!("      {l}"));
                if a.verbose {
                    report.notes.iter().for_each(|n| println!("      {n}"));
                    print!("{}", report.ladder);
                }
            }
            Err(e) => {
                failed += 1;
                println!("FAIL  {} ({ms:.1} ms)\n{e}\n", path.display());
            }
        }
    }
    if files.len() > 1 {
        println!("{passed} ok, {failed} failed");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
