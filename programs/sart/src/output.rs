//! Reading documents and writing answers.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::Path;

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
    /// Of the columns so far: those of later parts are as wide.
    widths: Vec<usize>,
}

impl Parts {
    pub(crate) fn new(format: Format) -> Parts {
        Parts { format, begun: false, widths: Vec::new() }
    }

    /// Writes a part as `table` makes it or as it is told, and says whether somebody reads it.
    pub(crate) fn write<T: Serialize>(
        &mut self,
        part: &[T],
        table: impl FnOnce(&[T]) -> Table,
    ) -> Result<bool, Failure> {
        if part.is_empty() {
            return Ok(true);
        }
        let first = !std::mem::replace(&mut self.begun, true);
        let written = match self.format {
            Format::Text | Format::Wide => table(part).write(first, &mut self.widths),
            Format::Yaml => serde_saphyr::to_string(&part).map_err(Failure::refused)?,
            Format::Json => {
                let one = |item| serde_json::to_string(item).map_err(Failure::refused);
                let items = part.iter().map(one).collect::<Result<Vec<_>, Failure>>()?;
                format!("{}{}", if first { "[" } else { "," }, items.join(",\n"))
            }
        };
        Ok(still_read(&written))
    }

    /// The end of the list; `empty`: what people read when nothing was in it.
    pub(crate) fn end(self, empty: impl FnOnce() -> Table) {
        match (self.format, self.begun) {
            (Format::Json, true) => line("]"),
            (Format::Json | Format::Yaml, false) => line("[]"),
            (Format::Text | Format::Wide, false) => line(&empty().to_string()),
            (Format::Text | Format::Wide | Format::Yaml, true) => {}
        }
    }
}

/// Columns under their names, without lines, as kubectl writes them.
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Spaces between two columns.
const GAP: usize = 2;

impl Table {
    pub(crate) fn new<H: Into<String>, R: IntoIterator<Item = String>>(
        header: impl IntoIterator<Item = H>,
        rows: impl IntoIterator<Item = R>,
    ) -> Table {
        let filled = |cell: String| if cell.is_empty() { "-".to_owned() } else { cell };
        let row = |row: R| row.into_iter().map(filled).collect();
        Table {
            header: header.into_iter().map(Into::into).collect(),
            rows: rows.into_iter().map(row).collect(),
        }
    }

    /// As text, with columns at least as wide as said, which is taken up to how wide they are.
    fn write(&self, with_header: bool, widths: &mut Vec<usize>) -> String {
        let header = with_header.then_some(&self.header);
        let rows = || header.into_iter().chain(&self.rows);
        widths.resize(self.header.len().max(widths.len()), 0);
        for row in rows() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in rows() {
            let begin = text.len();
            for (width, cell) in widths.iter().zip(row) {
                text.push_str(cell);
                let pad = width - cell.chars().count() + GAP;
                text.extend(std::iter::repeat_n(' ', pad));
            }
            text.truncate(begin + text[begin..].trim_end().len());
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(true, &mut Vec::new()))
    }
}

/// A table as text.
pub(crate) fn table<H: Into<String>, R: IntoIterator<Item = String>>(
    header: impl IntoIterator<Item = H>,
    rows: impl IntoIterator<Item = R>,
) -> String {
    Table::new(header, rows).to_string()
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

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn parts_of_a_table_stand_under_each_other() {
        let part = |cells: &[[&str; 3]]| {
            let rows = cells.iter().map(|row| row.map(str::to_owned));
            Table::new(["PREFIX", "ID", "WHY"], rows)
        };
        let mut widths = Vec::new();
        let first = part(&[["10.0.0.0/8", "", "é"]]).write(true, &mut widths);
        assert_eq!(first, "PREFIX      ID  WHY\n10.0.0.0/8  -   é");
        let second = part(&[["::/0", "7", ""], ["0.0.0.0/0", "12345", ""]]);
        let second = second.write(false, &mut widths);
        assert_eq!(second, "::/0        7      -\n0.0.0.0/0   12345  -");
        assert_eq!(part(&[]).to_string(), "PREFIX  ID  WHY");
    }
}
