//! The results as a Markdown table and as JSON.

use crate::measure::summary;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What the runs of one cell gave.
#[derive(Debug, Default)]
pub struct Row {
    pub cell: String,
    /// By metric, in the order of their first appearance.
    pub metrics: Vec<(&'static str, Vec<f64>)>,
    /// What went wrong, and how often in all runs together.
    pub troubles: BTreeMap<String, u64>,
    /// Per cent of the machine that others used, in each run.
    pub foreign: Vec<f64>,
}

impl Row {
    pub fn add(&mut self, metric: &'static str, value: f64) {
        match self.metrics.iter_mut().find(|(m, _)| *m == metric) {
            Some((_, values)) => values.push(value),
            None => self.metrics.push((metric, vec![value])),
        }
    }
}

fn number(x: f64) -> String {
    match x.abs() {
        _ if x.is_nan() => "-".into(),
        a if a >= 1000.0 => format!("{x:.0}"),
        a if a >= 100.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}

/// One line for each metric of each cell.
pub fn markdown(machine: &str, rows: &[Row]) -> String {
    let mut out = format!("{machine}\n\n");
    out += "| cell | metric | median | min..max | runs | others' CPU % | troubles |\n|---|---|--:|--:|--:|--:|---|\n";
    for row in rows {
        let (_, _, foreign) = summary(&row.foreign);
        let troubles: Vec<String> = row.troubles.iter().map(|(t, n)| format!("{t} {n}")).collect();
        for (metric, values) in &row.metrics {
            let (median, min, max) = summary(values);
            let _ = writeln!(
                out,
                "| {} | {metric} | {} | {}..{} | {} | {foreign:.0} | {} |",
                row.cell,
                number(median),
                number(min),
                number(max),
                values.len(),
                troubles.join("; ")
            );
        }
        if row.metrics.is_empty() {
            let _ = writeln!(
                out,
                "| {} | failed | - | - | 0 | {foreign:.0} | {} |",
                row.cell,
                troubles.join("; ")
            );
        }
    }
    out
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if u32::from(c) < 32 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

fn list(values: &[f64]) -> String {
    let texts: Vec<String> =
        values.iter().map(|v| if v.is_finite() { format!("{v:.4}") } else { "null".into() }).collect();
    format!("[{}]", texts.join(","))
}

/// Every run of everything.
pub fn json(machine: &str, rows: &[Row]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            let metrics: Vec<String> =
                row.metrics.iter().map(|(m, v)| format!("{}:{}", quoted(m), list(v))).collect();
            let troubles: Vec<String> =
                row.troubles.iter().map(|(t, n)| format!("{}:{n}", quoted(t))).collect();
            format!(
                "{{\"cell\":{},\"metrics\":{{{}}},\"foreign_cpu_percent\":{},\"troubles\":{{{}}}}}",
                quoted(&row.cell),
                metrics.join(","),
                list(&row.foreign),
                troubles.join(",")
            )
        })
        .collect();
    format!("{{\"machine\":{},\"cells\":[\n{}\n]}}\n", quoted(machine), rows.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_a_line_for_each_metric_and_json_that_names_each_run() {
        let mut row = Row { cell: "a/\"b\"".into(), ..Row::default() };
        row.add("Gbit/s", 3.0);
        row.add("Gbit/s", 1.0);
        row.add("Gbit/s", 10.5);
        row.foreign.push(2.0);
        assert!(markdown("m", &[row]).contains("| a/\"b\" | Gbit/s | 3.00 | 1.00..10.50 | 3 | 2 |  |"));
        let mut row = Row { cell: "a\"b".into(), ..Row::default() };
        row.add("x", f64::NAN);
        assert_eq!(
            json("m", &[row]),
            "{\"machine\":\"m\",\"cells\":[\n{\"cell\":\"a\\\"b\",\"metrics\":{\"x\":[null]},\
             \"foreign_cpu_percent\":[],\"troubles\":{}}\n]}\n"
        );
    }
}
