//! Writing answers.

use std::io::Write as _;

use comfy_table::{Cell, Table};
use serde::Serialize;

use crate::Failure;
use crate::cli::Format;

/// Writes a line; a reader that has gone away (`| head`) is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}

/// Writes an answer as JSON or YAML, or as `plain` makes it.
pub(crate) fn answer<T: Serialize>(
    format: Format,
    value: &T,
    plain: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let unwritable = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
    let text = match format {
        Format::Plain => plain(value),
        Format::Json => serde_json::to_string_pretty(value).map_err(|error| unwritable(&error))?,
        Format::Yaml => serde_saphyr::to_string(value).map_err(|error| unwritable(&error))?,
    };
    line(&text);
    Ok(())
}

/// A table without lines, as kubectl writes them.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(
            row.map(|text| Cell::new(if text.is_empty() { "-".to_owned() } else { text })),
        );
    }
    table.trim_fmt()
}
