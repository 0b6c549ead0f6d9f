//! BMP stations and MRT files.

use std::fmt::Write as _;

use node_api::v1;

use super::{age, time};
use crate::output::table;

/// A line for each station.
pub(crate) fn stations(stations: &[v1::Station], wide: bool) -> String {
    let rows = stations.iter().map(|station| {
        let mut row = vec![
            station.address.clone(),
            station.state.clone(),
            age(station.since),
            station.tables.join(","),
            station.messages.to_string(),
            station.queued_bytes.to_string(),
            station.losses.to_string(),
        ];
        if wide {
            let at = station.last_error_at;
            row.push(station.bytes.to_string());
            row.push(if at == 0 { String::new() } else { age(at) });
        }
        row.push(station.last_error.clone());
        row
    });
    let mut header = vec!["STATION", "STATE", "SINCE", "TABLES", "MESSAGES", "QUEUED", "LOSSES"];
    if wide {
        header.extend(["BYTES", "ERROR AGE"]);
    }
    header.push("LAST ERROR");
    table(header, rows)
}

/// The files, in lines.
pub(crate) fn mrt(files: Option<&v1::MrtFiles>) -> String {
    let Some(files) = files else { return "No MRT files are wanted.".to_owned() };
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "{:<14} {value}", format!("{name}:"));
        }
    };
    let at = |unix: u64| if unix == 0 { String::new() } else { time(unix) };
    line("Directory", files.directory.clone());
    line("Files", format!("{}, {} bytes", files.files, files.bytes));
    line("Lost records", files.lost_records.to_string());
    line("Last table", files.last_table.clone());
    line("Next table", at(files.next_table));
    line("Next messages", at(files.next_updates));
    line("Error", files.last_error.clone());
    text
}
