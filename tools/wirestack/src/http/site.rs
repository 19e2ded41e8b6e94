//! A directory as a web site: which file answers a request, and whether all of it.
//!
//! Nothing outside the directory is ever opened: the kernel resolves each path under
//! `RESOLVE_BENEATH` (openat2(2)), so neither `..` nor a symbolic link leads out, also when somebody
//! swaps a directory for a link between a check and the opening. A link with an absolute target is
//! refused too, even if it points inside.

use super::range::{self, Ranges};
use super::request::{Refusal, Request};
use super::response::{Body, Part, Response};
use super::{PRODUCT, listing};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is escaped in a path segment: all but RFC 3986's unreserved characters.
pub const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A directory that is served.
#[derive(Debug)]
pub struct Site {
    root: OwnedFd,
}

impl Site {
    /// Opens the directory. The site follows it even if it is renamed later.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::openat(CWD, dir, flags, Mode::empty())? })
    }

    /// The answer to a GET or HEAD request.
    pub fn answer(&self, request: &Request) -> Response {
        self.find(request).unwrap_or_else(|refusal| Response::refusal(&refusal))
    }

    fn find(&self, request: &Request) -> Result<Response, Refusal> {
        let target = Target::parse(&request.target)?;
        let (file, meta) = self.open_beneath(&target.path())?;
        if meta.is_file() && !target.is_dir {
            return answer_file(request, file, &meta, &target.path());
        }
        if !meta.is_dir() {
            return Err(NOT_FOUND);
        }
        if !target.is_dir {
            return Ok(Response::redirect(format!("{}/", target.encoded())));
        }
        let index = target.path().join("index.html");
        match self.open_beneath(&index) {
            Ok((file, meta)) if meta.is_file() => answer_file(request, file, &meta, &index),
            _ => self.list(&file, &target),
        }
    }

    fn open_beneath(&self, path: &Path) -> Result<(File, Metadata), Refusal> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // NONBLOCK: opening a FIFO would wait for its writer. It does nothing to files.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let fd = loop {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                // AGAIN: a rename raced with the resolution; the kernel asks to try once more.
                Err(Errno::INTR | Errno::AGAIN) => {}
                other => break other,
            }
        };
        let file = File::from(fd.map_err(refusal_of)?);
        let meta = file.metadata().map_err(|_| NOT_FOUND)?;
        Ok((file, meta))
    }

    fn list(&self, dir: &File, target: &Target) -> Result<Response, Refusal> {
        let failed = |_| Refusal::new(500, "The directory cannot be read.");
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(dir).map_err(failed)? {
            let name = OsString::from_vec(entry.map_err(failed)?.file_name().to_bytes().to_vec());
            if name == "." || name == ".." {
                continue;
            }
            // What cannot be opened from outside is not shown either.
            let Ok((_, meta)) = self.open_beneath(&target.path().join(&name)) else { continue };
            entries.push(listing::Entry {
                name,
                is_dir: meta.is_dir(),
                len: meta.len(),
                modified: meta.modified().ok(),
            });
        }
        let page = listing::page(&target.display(), target.segments.is_empty(), entries);
        let mut response = Response::new(200);
        response.set("Content-Type", "text/html; charset=utf-8");
        response.set("Cache-Control", "no-cache");
        response.body = Body::Bytes(page.into_bytes());
        Ok(response)
    }
}

const NOT_FOUND: Refusal = Refusal::new(404, "There is no such file here.");

fn refusal_of(e: Errno) -> Refusal {
    match e {
        Errno::ACCESS | Errno::PERM => Refusal::new(403, "This file may not be read."),
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => Refusal::new(503, "Too many files are open."),
        Errno::NAMETOOLONG => Refusal::new(414, "The name is too long."),
        _ => NOT_FOUND,
    }
}

/// The path of a request target, taken apart.
struct Target {
    segments: Vec<Vec<u8>>,
    is_dir: bool,
}

impl Target {
    fn parse(target: &str) -> Result<Self, Refusal> {
        let malformed = Refusal::new(400, "The request target is malformed.");
        let path = if target.starts_with('/') {
            target
        } else {
            // Absolute form (RFC 9112 section 3.2.2).
            let rest = target.get(..7).filter(|s| s.eq_ignore_ascii_case("http://")).map(|_| &target[7..]);
            let rest = rest.ok_or(malformed.clone())?;
            rest.find('/').map_or("/", |i| &rest[i..])
        };
        let path = path.split(['?', '#']).next().unwrap_or("/");
        let is_dir = path.ends_with('/') || path.ends_with("/.");
        let mut segments = Vec::new();
        for raw in path.split('/') {
            let bytes: Vec<u8> = percent_decode_str(raw).collect();
            match bytes.as_slice() {
                b"" | b"." => {}
                b".." => return Err(NOT_FOUND),
                b if b.contains(&0) || b.contains(&b'/') => return Err(malformed),
                _ => segments.push(bytes),
            }
        }
        Ok(Self { segments, is_dir })
    }

    fn path(&self) -> PathBuf {
        self.segments.iter().map(|s| std::ffi::OsStr::from_bytes(s)).collect()
    }

    /// As it stands in a Location field: one slash at its start, so that it never names a host.
    fn encoded(&self) -> String {
        self.segments.iter().map(|s| format!("/{}", percent_encoding::percent_encode(s, SEGMENT))).collect()
    }

    fn display(&self) -> String {
        let mut out = String::from("/");
        for s in &self.segments {
            out.push_str(&String::from_utf8_lossy(s));
            out.push('/');
        }
        out
    }
}

fn answer_file(request: &Request, file: File, meta: &Metadata, path: &Path) -> Result<Response, Refusal> {
    let modified = meta.modified().ok();
    let tag = entity_tag(modified, meta.len());
    if not_modified(request, &tag, modified) {
        let mut response = Response::new(304);
        stamp(&mut response, &tag, modified);
        return Ok(response);
    }
    let len = meta.len();
    let range =
        request.field("range").filter(|_| request.method == "GET" && range_applies(request, &tag, modified));
    let kind = content_type(path);
    let mut response = match range::evaluate(range, len) {
        Ranges::Whole => {
            let mut response = Response::new(200);
            response.set("Content-Type", kind);
            response.body = Body::File(file, 0..len);
            response
        }
        Ranges::Unsatisfiable => {
            let mut response = Response::refusal(&Refusal::new(416, "The file has nothing in this range."));
            response.set("Content-Range", format!("bytes */{len}"));
            response
        }
        Ranges::Parts(parts) if parts.len() == 1 => {
            let mut response = Response::new(206);
            response.set("Content-Type", kind);
            response.set("Content-Range", content_range(&parts[0], len));
            response.body = Body::File(file, parts[0].clone());
            response
        }
        Ranges::Parts(parts) => multipart(file, &parts, len, &kind, &tag),
    };
    response.set("Accept-Ranges", "bytes");
    stamp(&mut response, &tag, modified);
    Ok(response)
}

fn content_range(range: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", range.start, range.end - 1)
}

/// Several ranges in one answer (RFC 9110 section 14.6).
fn multipart(file: File, ranges: &[Range<u64>], len: u64, kind: &str, tag: &str) -> Response {
    let boundary = format!("{PRODUCT}-{}", tag.trim_matches('"')).replace(['/', '.'], "-");
    let mut parts = Vec::new();
    for r in ranges {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {}\r\n\r\n",
            content_range(r, len)
        );
        parts.push(Part { head, range: r.clone() });
    }
    let mut response = Response::new(206);
    response.set("Content-Type", format!("multipart/byteranges; boundary={boundary}"));
    response.body = Body::Parts { file, parts, end: format!("\r\n--{boundary}--\r\n") };
    response
}

fn stamp(response: &mut Response, tag: &str, modified: Option<SystemTime>) {
    response.set("ETag", tag);
    if let Some(t) = modified.filter(|&t| t >= UNIX_EPOCH) {
        response.set("Last-Modified", httpdate::fmt_http_date(t));
    }
}

fn entity_tag(modified: Option<SystemTime>, len: u64) -> String {
    let nanos = modified.and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default().as_nanos();
    format!("\"{nanos:x}-{len:x}\"")
}

/// Has the client what it asks for (RFC 9110 section 13.2.2)? If-None-Match wins over the date.
fn not_modified(request: &Request, tag: &str, modified: Option<SystemTime>) -> bool {
    if request.has("if-none-match") {
        return request.lists("if-none-match", "*")
            || request.lists("if-none-match", tag)
            || request.lists("if-none-match", &format!("W/{tag}"));
    }
    let since = request.field("if-modified-since").and_then(|d| httpdate::parse_http_date(d).ok());
    matches!((since, modified), (Some(since), Some(modified)) if modified < since + Duration::from_secs(1))
}

/// If-Range (RFC 9110 section 13.1.5): the range counts only if the file is still the same one.
fn range_applies(request: &Request, tag: &str, modified: Option<SystemTime>) -> bool {
    let Some(condition) = request.field("if-range") else { return !request.has("if-range") };
    if condition.starts_with('"') {
        return condition == tag;
    }
    let now = SystemTime::now();
    match (httpdate::parse_http_date(condition), modified) {
        // A date is a strong validator only when the file is not being changed this very second.
        (Ok(date), Some(modified)) => {
            httpdate::fmt_http_date(modified) == httpdate::fmt_http_date(date)
                && now.duration_since(modified).is_ok_and(|age| age > Duration::from_secs(1))
        }
        _ => false,
    }
}

fn content_type(path: &Path) -> String {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let text = mime.type_() == "text" || matches!(mime.subtype().as_str(), "javascript" | "json" | "xml");
    if text { format!("{mime}; charset=utf-8") } else { mime.to_string() }
}

/// A name as one segment of a relative reference.
pub fn encode_segment(name: &std::ffi::OsStr) -> String {
    match name.to_str() {
        Some(s) => utf8_percent_encode(s, SEGMENT).to_string(),
        None => percent_encoding::percent_encode(name.as_bytes(), SEGMENT).to_string(),
    }
}

#[cfg(test)]
mod tests;
