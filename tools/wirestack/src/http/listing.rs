//! The page of a directory.

use super::site::encode_segment;
use std::ffi::OsString;
use std::fmt::Write;
use std::time::SystemTime;

/// One line of a directory page.
#[derive(Debug)]
pub struct Entry {
    /// File name.
    pub name: OsString,
    /// Is it a directory?
    pub is_dir: bool,
    /// Octets.
    pub len: u64,
    /// When it was last changed.
    pub modified: Option<SystemTime>,
}

/// The page: directories first, each part by name.
pub fn page(path: &str, is_root: bool, mut entries: Vec<Entry>) -> String {
    entries.sort_by(|a, b| b.is_dir.cmp(&a.is_dir).then_with(|| a.name.cmp(&b.name)));
    let title = escape(path);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>\n\
         body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}\n\
         table {{ border-collapse: collapse; width: 100% }}\n\
         td {{ padding: .1rem .5rem; border-bottom: 1px solid #8884 }}\n\
         td + td {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }}\n\
         </style>\n</head>\n<body>\n<h1>{title}</h1>\n<table>\n"
    );
    if !is_root {
        out.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for e in &entries {
        let slash = if e.is_dir { "/" } else { "" };
        let name = escape(&e.name.to_string_lossy());
        let size = if e.is_dir { String::new() } else { indicatif::BinaryBytes(e.len).to_string() };
        let date = e.modified.map(httpdate::fmt_http_date).unwrap_or_default();
        let _ = writeln!(
            out,
            "<tr><td><a href=\"./{}{slash}\">{name}{slash}</a></td><td>{size}</td><td>{date}</td></tr>",
            encode_segment(&e.name)
        );
    }
    out.push_str("</table>\n</body>\n</html>\n");
    out
}

fn escape(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let entry = |name: &str, is_dir| Entry { name: name.into(), is_dir, len: 3 << 20, modified: None };
        let page = page("/<x>/", false, vec![entry("b\"><script>.txt", false), entry("z", true)]);
        assert!(page.contains("<title>/&lt;x&gt;/</title>"));
        assert!(page.contains("href=\"./b%22%3E%3Cscript%3E.txt\">b&quot;&gt;&lt;script&gt;.txt<"), "{page}");
        assert!(page.find("./z/").unwrap() < page.find("./b%22").unwrap());
        assert!(page.contains("3.00 MiB"));
    }
}
