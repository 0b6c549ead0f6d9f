//! Reading documents and writing answers.

use std::io::{Read as _, Write as _};
use std::path::Path;

use comfy_table::{Cell, Table};
use serde::Serialize;

use crate::Failure;
use crate::cli::Format;

/// Writes a line; a reader that has gone away (`| head`) is no error.
pub(crate) fn line(text: &str) {
    let _ = still_read(text);
}

/// Writes a line, and says whether somebody reads it.
pub(crate) fn still_read(text: &str) -> bool {
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).is_ok()
}

/// Writes an answer as JSON or YAML, or as `text` makes it.
pub(crate) fn answer<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let written = match format {
        Format::Text | Format::Wide => text(value),
        Format::Json => serde_json::to_string_pretty(value).map_err(Failure::refused)?,
        Format::Yaml => serde_saphyr::to_string(value).map_err(Failure::refused)?,
    };
    line(&written);
    Ok(())
}

/// Writes one of many answers: JSON in one line, YAML as a document of its own. Says whether
/// somebody reads it.
pub(crate) fn one_of_many<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<bool, Failure> {
    let written = match format {
        Format::Text | Format::Wide => text(value),
        Format::Json => serde_json::to_string(value).map_err(Failure::refused)?,
        Format::Yaml => {
            format!("---\n{}", serde_saphyr::to_string(value).map_err(Failure::refused)?)
        }
    };
    Ok(still_read(&written))
}

/// A list that is too long to be held: it is written part by part, and is one list for who reads it.
pub(crate) struct Parts {
    format: Format,
    begun: bool,
}

impl Parts {
    pub(crate) fn new(format: Format) -> Parts {
        Parts { format, begun: false }
    }

    /// Writes a part, as `text` makes it or as it is told, and says whether somebody reads it.
    pub(crate) fn write<T: Serialize>(
        &mut self,
        part: &[T],
        text: impl FnOnce(&[T], Header) -> String,
    ) -> Result<bool, Failure> {
        if part.is_empty() {
            return Ok(true);
        }
        let first = !std::mem::replace(&mut self.begun, true);
        let written = match self.format {
            Format::Text | Format::Wide => text(part, if first { Header::Yes } else { Header::No }),
            Format::Yaml => serde_saphyr::to_string(&part).map_err(Failure::refused)?,
            Format::Json => {
                let one = |item| serde_json::to_string(item).map_err(Failure::refused);
                let items = part.iter().map(one).collect::<Result<Vec<_>, Failure>>()?;
                format!("{}{}", if first { "[" } else { "," }, items.join(",\n"))
            }
        };
        Ok(still_read(&written))
    }

    /// The end of the list.
    pub(crate) fn end(self) {
        match (self.format, self.begun) {
            (Format::Json, true) => line("]"),
            (Format::Json | Format::Yaml, false) => line("[]"),
            (Format::Text | Format::Wide | Format::Yaml, _) => {}
        }
    }
}

/// Whether a table begins with the names of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Yes,
    No,
}

/// A table without lines, as kubectl writes them.
pub(crate) fn table<H: Into<Cell>, R: IntoIterator<Item = String>>(
    header: impl IntoIterator<Item = H>,
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(header.into_iter().map(Into::into).collect::<Vec<Cell>>());
    for row in rows {
        table.add_row(
            row.into_iter()
                .map(|text| Cell::new(if text.is_empty() { "-".to_owned() } else { text })),
        );
    }
    table.trim_fmt()
}

/// The text of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let refused = |error: std::io::Error| Failure::Refused(format!("{}: {error}", path.display()));
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(refused)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(refused)
}
