//! Another reader of BGP beside our codec: what it writes, and what it makes of damage, as tshark
//! dissects it.

mod damage;
mod fields;
mod generate;
mod pcap;
mod read;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::random::Random;
use damage::Damaged;
use fields::{ASKED, CODES, Fields};
use generate::Sample;

/// The same messages everywhere.
const SEED: u64 = 20_261_121;
const WHOLE: usize = 3_000;
const DAMAGED: usize = 6_000;

/// How much is compared. The messages are the same everywhere, so that it changes only with what is
/// made here and with what our decoder takes; then it is to be looked at, and written anew.
const COMPARED: Compared =
    Compared { attributes: 32_044, values: 364_741, read: 1_448, refused: 3_077, overrun: 1_475 };

/// What was compared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    /// Path attributes in the messages that both read.
    attributes: usize,
    /// Values in these messages.
    values: usize,
    /// Damaged messages that both read.
    read: usize,
    /// Damaged messages that we refuse.
    refused: usize,
    /// Those of which both say that they run over their end.
    overrun: usize,
}

/// What tshark says of one frame.
struct Row {
    fields: Fields,
    malformed: bool,
}

/// Compares whole and damaged messages; gives what was found, in words.
pub(super) fn tshark(logs: &Path) -> Result<String> {
    let mut random = Random::new(SEED);
    let mut frames = Vec::new();
    let mut wanted = Vec::new();
    for number in 1..=WHOLE {
        let Sample { frame, options, fields } = generate::message(&mut random)?;
        // What went in must come out of our own decoder, before another one is asked.
        let ours = read::fields(&frame, &options)
            .with_context(|| format!("frame {number}, read by us: {}", hex(&frame)))?;
        if let Some(why) = difference(&fields, &ours) {
            bail!("frame {number}, read by us: {why}: {}", hex(&frame));
        }
        frames.push(frame);
        wanted.push(Damaged::Read(fields));
    }
    for _ in 0..DAMAGED {
        let (frame, damaged) = damage::damaged(&mut random)?;
        frames.push(frame);
        wanted.push(damaged);
    }
    let file = logs.join("tshark.pcap");
    std::fs::write(&file, pcap::file(&frames))
        .with_context(|| format!("write {}", file.display()))?;
    let rows = dissect(&file)?;
    ensure!(rows.len() == frames.len(), "tshark saw {} of {} frames", rows.len(), frames.len());

    let mut compared = Compared::default();
    let mut disagreements = Vec::new();
    for (number, ((row, wanted), frame)) in rows.iter().zip(&wanted).zip(&frames).enumerate() {
        let why = match wanted {
            Damaged::Read(fields) => {
                compared.read += usize::from(number >= WHOLE);
                compared.count(fields);
                if row.malformed {
                    Some("tshark calls it malformed, we read it".to_owned())
                } else {
                    difference(fields, &row.fields)
                }
            }
            Damaged::Overrun => {
                compared.overrun += 1;
                (!row.malformed).then(|| "tshark does not see the overrun".to_owned())
            }
            Damaged::Refused => {
                compared.refused += 1;
                None
            }
        };
        if let Some(why) = why {
            disagreements.push(format!("frame {}: {why}: {}", number + 1, hex(frame)));
        }
    }
    if !disagreements.is_empty() {
        let list = logs.join("disagreements.txt");
        std::fs::write(&list, disagreements.join("\n"))?;
        let (count, first) = (disagreements.len(), disagreements.swap_remove(0));
        bail!("{count} disagreements, see {}; {first}", list.display());
    }
    ensure!(compared == COMPARED, "{compared:?} was compared, not {COMPARED:?}");
    let Compared { attributes, values, read, refused, overrun } = compared;
    Ok(format!(
        "{WHOLE} messages read alike by us and tshark; of {DAMAGED} damaged ones {read} read alike, \
         {overrun} run over their end for both, {refused} are refused by us; {attributes} attributes \
         and {values} values compared"
    ))
}

impl Compared {
    fn count(&mut self, fields: &Fields) {
        let values = |text: &String| text.split(',').count();
        self.values += fields.values().map(values).sum::<usize>();
        self.attributes += fields.get(CODES).map_or(0, values);
    }
}

/// The first field that is not as it shall be.
fn difference(wanted: &Fields, found: &Fields) -> Option<String> {
    ASKED.iter().find_map(|name| {
        let of = |fields: &Fields| fields.get(name).cloned().unwrap_or_default();
        let (wanted, found) = (of(wanted), of(found));
        (wanted != found).then(|| format!("{name} is {found:?}, not {wanted:?}"))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().skip(16).map(|byte| format!("{byte:02x}")).collect()
}

/// tshark's words on every frame of a capture.
fn dissect(file: &Path) -> Result<Vec<Row>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(file).args(["-T", "fields"]);
    command.args(["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,"]);
    // Nothing in a lone UPDATE says how long its AS numbers are.
    command.args(["-o", "bgp.asn_len:4 octet", "-o", "tcp.analyze_sequence_numbers:FALSE"]);
    for name in ASKED.iter().chain(&["_ws.malformed"]) {
        command.args(["-e", name]);
    }
    let out = command.stdin(Stdio::null()).output().context("run tshark")?;
    let errors = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "tshark: {}: {}", out.status, errors.trim());
    let text = String::from_utf8_lossy(&out.stdout);
    Ok(text.lines().map(row).collect())
}

fn row(line: &str) -> Row {
    let mut values = line.split('\t');
    let mut fields = Fields::new();
    for (name, value) in ASKED.iter().zip(values.by_ref()) {
        if !value.is_empty() {
            fields.insert(name, value.to_owned());
        }
    }
    Row { fields, malformed: values.any(|value| !value.is_empty()) }
}
